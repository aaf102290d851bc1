"""Every step of writing, numbered, with death before any of them: what the operating system is asked, and commits.

Nothing in the program knows of it. Files that are opened for writing are heard of by an audit hook; fsync, renaming,
removing and SQLite's commits are wrapped. A step is named by what is done to which file, digits and random parts left
out, and by how often it was done before by any of the study's processes.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

LOG = "STEPS_LOG"
"""Where every step is noted, one line each. Without it nothing is watched."""

ROOTS = "STEPS_ROOTS"
"""The folders whose files matter, separated by colons."""

DIE_AT = "STEPS_DIE_AT"
"""The step, as `named` has it, before which the process kills its coordinator, if it is a child, and itself."""

_FILE_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_UNSTABLE = ((re.compile(r"\.[\w]{8}\.(old\.)?tmp"), ".*.tmp"), (re.compile(r"[0-9a-f]{20}|\d+"), "#"))


def named(log: str) -> list[str]:
    """Each step of a log with its number among its like: `commit study.db 3`."""
    seen: dict[str, int] = {}
    names = []
    for line in log.splitlines():
        seen[line] = seen.get(line, 0) + 1
        names.append(f"{line} {seen[line]}")
    return names


def watch(process: str) -> None:
    """Watch this process, where the environment asks for it."""
    if LOG not in os.environ:
        return
    steps = _Steps(process)
    sys.addaudithook(steps.heard)
    for name in ("fsync", "replace", "rename", "unlink"):
        setattr(os, name, steps.before(name, getattr(os, name)))
    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **options: connect(*args, factory=_connection(steps), **options)


class _Steps:
    def __init__(self, process: str) -> None:
        self._process = process
        self._roots = [Path(root) for root in os.environ[ROOTS].split(":")]
        self._path = Path(os.environ[LOG])
        self._log = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._die_at = os.environ.get(DIE_AT)

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook."""
        if event == "open" and isinstance(arguments[0], str | bytes | Path) and arguments[2] & _FILE_WRITES:
            self.take("open", os.fsdecode(arguments[0]))

    def before(self, name: str, function: Any) -> Any:
        """`function` of `os`, with its step before it; of two paths the second counts."""

        def stepping(*arguments: Any, **options: Any) -> Any:
            of = arguments[1] if name in ("replace", "rename") else arguments[0]
            self.take(name, os.readlink(f"/proc/self/fd/{of}") if isinstance(of, int) else os.fsdecode(of))
            return function(*arguments, **options)

        return stepping

    def take(self, what: str, path: str) -> None:
        """Note a step, and die if it is the one."""
        root = next((root for root in self._roots if Path(path).is_relative_to(root)), None)
        if root is None:
            return
        place = f"{root.name}/{Path(path).relative_to(root)}"
        for pattern, stable in _UNSTABLE:
            place = pattern.sub(stable, place)
        step = f"{self._process}: {what} {place}"
        os.write(self._log, f"{step}\n".encode())
        if self._die_at is not None and named(self._path.read_text())[-1] == self._die_at:
            if self._process != "coordinator":
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def _connection(steps: _Steps) -> type[sqlite3.Connection]:
    """Connections whose commits of changes are steps."""

    class Connection(sqlite3.Connection):
        def commit(self) -> None:
            if self.in_transaction:
                (_, _, path), *_ = self.execute("PRAGMA database_list").fetchall()
                steps.take("commit", path)
            super().commit()

    return Connection
