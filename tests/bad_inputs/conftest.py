"""A working folder of its own for each bad input, and a runner of commands in this process."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from explorer import cli
from explorer.measure.child import ChildFailed
from explorer.study import building
from explorer.study.builder import Builder

# The cases lie in modules beside this file; bundles are made by those of tests/deploy.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "deploy")]

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_HASHED_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote."""

    exit_code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What standard error ends with, from the program's own name on."""
        return self.err.rpartition("explore: ")[2]


class _Answers:
    """Takes a builder's answers, through JSON as they would come."""

    def __init__(self, on_progress: Callable[[Mapping[str, Any]], None]) -> None:
        self._on_progress = on_progress
        self._answered: dict[str, Any] = {}
        self._failed: ChildFailed | None = None

    def phase(self, name: str) -> None:
        """Deadlines are the child's."""

    def progress(self, values: Mapping[str, Any]) -> None:
        self._on_progress(json.loads(json.dumps(values)))

    def result(self, values: Mapping[str, Any]) -> None:
        self._answered = json.loads(json.dumps(values))

    def failure(self, kind: str, reason: str, exit_code: int | None = None) -> None:
        self._failed = ChildFailed(kind, reason, "", exit_code)

    def end(self) -> dict[str, Any]:
        if self._failed is not None:
            raise self._failed
        return self._answered


class BuilderHere:
    """The builder without its process, which takes seconds to start; the process has tests of its own."""

    is_alive = True

    def __init__(self, module: str, stop: object = None) -> None:
        assert module == "explorer.study.builder"
        self._builder = Builder()

    def ask(
        self,
        request: Mapping[str, Any],
        deadlines_s: Mapping[str, float],
        on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        answers = _Answers(on_progress)
        self._builder.handle(json.loads(json.dumps(request)), answers)  # type: ignore[arg-type]
        return answers.end()

    def close(self) -> None:
        """There is no process."""


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
    monkeypatch.setattr(building, "Child", BuilderHere)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def explore(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the command line in this process."""

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["explore", *words])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


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
