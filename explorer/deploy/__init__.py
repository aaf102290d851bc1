"""What leaves: bundle, verify, serve."""
