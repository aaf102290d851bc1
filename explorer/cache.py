"""The folder of everything that can be made again: decoded data, weights, stages of variants."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """EXPLORER_CACHE where it is set, else this user's cache folder for the program. It need not exist yet."""
    named = os.environ.get("EXPLORER_CACHE")
    return Path(named).expanduser().absolute() if named else platformdirs.user_cache_path("pareto-explorer")
