"""BuilderHere: the builder in this process, for tests of what it builds and not of its process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from explorer.build.builder import Builder
from explorer.system.worker_process import WorkerFailed


class _Answers:
    """Takes a builder's answers, through JSON as they would come."""

    def __init__(self, on_progress: Callable[[Mapping[str, Any]], None]) -> None:
        self._on_progress = on_progress
        self._answered: dict[str, Any] = {}
        self._failed: WorkerFailed | None = None

    def phase(self, name: str) -> None:
        """Deadlines are the child's."""

    def progress(self, values: Mapping[str, Any]) -> None:
        self._on_progress(json.loads(json.dumps(values)))

    def result(self, values: Mapping[str, Any]) -> None:
        self._answered = json.loads(json.dumps(values))

    def failure(self, kind: str, reason: str, exit_code: int | None = None) -> None:
        self._failed = WorkerFailed(kind, reason, "", exit_code)

    def end(self) -> dict[str, Any]:
        if self._failed is not None:
            raise self._failed
        return self._answered


class BuilderHere:
    """The builder without its process, which takes seconds to start; the process has tests of its own."""

    is_alive = True

    def __init__(self, module: str, stop: object, environment: Mapping[str, str]) -> None:
        assert module == "explorer.build.builder"
        self._builder = Builder()
        self.process = psutil.Process()

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
