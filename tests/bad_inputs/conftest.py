"""A working folder of its own for each bad input, and a runner of commands in this process."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.study import builder_process as building

# The cases lie in modules beside this file; bundles are made by those of tests/deploy, databases by one of tests.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "deploy"))
sys.path.insert(0, str(Path(__file__).parent))

from builder_here import BuilderHere

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_HASHED_BYTES = 2**24


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory of a user without network, with a cache and a place for temporary files beside it."""
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    for name in ("EXPLORER_DATA", "EXPLORER_STUDIES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(building, "WorkerProcess", BuilderHere)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def content_of(folder: Path) -> dict[str, object]:
    """Every path in `folder`, and what lies there. Nothing is opened that is not a regular file of moderate size."""
    return {str(path.relative_to(folder)): _facts(path) for path in sorted(folder.rglob("*"))}


def _facts(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    if not path.is_file():
        return "folder" if path.is_dir() else "special"
    size = path.stat().st_size
    return size if size > _HASHED_BYTES else (size, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, object]]:
    return content_of
