"""Serving a bundle over HTTP: the Open Inference Protocol v2, a page, and metrics."""
