"""The version of this package; alone, so that every room can import it without importing the public names."""

__version__ = "0.1.0"
