"""Deployment: choose a trial, export it, verify a bundle, serve it."""
