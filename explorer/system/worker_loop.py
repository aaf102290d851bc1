"""The worker's side of a worker process: requests on standard input, answers on a descriptor, death with the parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from explorer.system.disk_errors import FAILURE_KIND, failure_reason, full_disk

_PR_SET_PDEATHSIG = 1


class Answers:
    """The writer of a worker's phases, progress and results, each with the number of its request."""

    def __init__(self, descriptor: int) -> None:
        self.number = 0
        """The number of the request that is being answered."""
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        self._process = os.getpid()

    def phase(self, name: str) -> None:
        """Begin a phase, which has its own deadline."""
        self._write({"phase": name})

    def progress(self, values: Mapping[str, Any]) -> None:
        """Report progress within the phase; its deadline starts again."""
        self._write({"progress": values})

    def result(self, values: Mapping[str, Any]) -> None:
        """Answer the request."""
        self._write({"result": values})

    def failure(self, kind: str, reason: str, exit_code: int | None = None) -> None:
        """Report that the request cannot be answered."""
        self._write({"failure": {"kind": kind, "reason": reason, "exit_code": exit_code}})

    def _write(self, message: Mapping[str, Any]) -> None:
        if os.getpid() != self._process:
            os._exit(1)  # a forked copy must neither answer nor take requests
        line = json.dumps({"number": self.number, **message}, allow_nan=False).encode() + b"\n"
        while line:
            line = line[self._file.write(line) :]


def serve(handle: Callable[[dict[str, Any], Answers], None], cores_of: Callable[[dict[str, Any]], list[int]]) -> None:
    """Handle each line of standard input until it ends; `handle` writes exactly one result or failure.

    A request's cores are set before it is handled, so that every thread that it starts inherits them.
    """
    die_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator handles Ctrl-C and ends its workers
    answers = Answers(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answers.number = request.pop("number")
        if cores := cores_of(request):
            os.sched_setaffinity(0, cores)
        handle(request, answers)


def failure_of(error: Exception, process: str) -> tuple[str, str]:
    """Return kind and reason of a failure in `process`, the "probe" or the "builder".

    A full disk has its own kind: it is no fault of the trial, and stops the study.
    """
    if (refusal := full_disk(error)) is not None:
        return FAILURE_KIND, failure_reason(refusal)
    if isinstance(error, OSError):
        return f"OSError in the {process}", str(error)
    return f"{type(error).__name__} in the {process}", f"{type(error).__name__}: {error}"


def die_with_parent(parent: int) -> None:
    """Request SIGKILL from the kernel when the parent dies; exit at once if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
