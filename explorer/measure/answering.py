"""The child's side of `measure.child`: requests from standard input, answers on a descriptor, death with the parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from explorer.disk_errors import FAILURE_KIND, full_disk, told

_PR_SET_PDEATHSIG = 1


class Answers:
    """Where a child writes its phases, its progress, and its result, each with the number of the request."""

    def __init__(self, descriptor: int) -> None:
        self.number = 0
        """The number of the request that is being answered."""
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        self._process = os.getpid()

    def phase(self, name: str) -> None:
        """A new phase begins, with a deadline of its own."""
        self._write({"phase": name})

    def progress(self, values: Mapping[str, Any]) -> None:
        """The phase moves on; its deadline starts again."""
        self._write({"progress": values})

    def result(self, values: Mapping[str, Any]) -> None:
        """The request is answered."""
        self._write({"result": values})

    def failure(self, kind: str, reason: str, exit_code: int | None = None) -> None:
        """The request cannot be answered."""
        self._write({"failure": {"kind": kind, "reason": reason, "exit_code": exit_code}})

    def _write(self, message: Mapping[str, Any]) -> None:
        if os.getpid() != self._process:
            os._exit(1)  # a forked copy that was not ended in time speaks for nobody, and takes no further request
        line = json.dumps({"number": self.number, **message}, allow_nan=False).encode() + b"\n"
        while line:
            line = line[self._file.write(line) :]


def serve(handle: Callable[[dict[str, Any], Answers], None], cores_of: Callable[[dict[str, Any]], list[int]]) -> None:
    """Answer each line of standard input until it ends. `handle` answers exactly one result or failure.

    A request's cores are taken before it is handled, so that every thread that it starts inherits them.
    """
    die_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's; it ends us
    answers = Answers(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answers.number = request.pop("number")
        if cores := cores_of(request):
            os.sched_setaffinity(0, cores)
        handle(request, answers)


def failure_of(error: Exception, child: str) -> tuple[str, str]:
    """Kind and reason of what the child, the "probe" or the "builder", could not do.

    A full disk is told as such, for it is no fault of the trial and stops the study.
    """
    if (refusal := full_disk(error)) is not None:
        return FAILURE_KIND, told(refusal)
    if isinstance(error, OSError):
        return f"OSError in the {child}", str(error)
    return f"{type(error).__name__} in the {child}", f"{type(error).__name__}: {error}"


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent dies; leave at once if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
