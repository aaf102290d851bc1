"""Public names and version; importing it loads neither torch nor optuna."""

__version__ = "0.1.0"

__all__ = ["__version__"]
