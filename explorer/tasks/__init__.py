"""What is asked of a network, and how well it does."""
