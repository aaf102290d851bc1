"""Verification of a bundle from an untrusted source."""
