"""A supervised process: JSON lines, a deadline per phase, bounded log and memory, killed with its whole tree."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from explorer.records import Failure
from explorer.system import process_tree

_MAX_MESSAGE_BYTES = 16 * 2**20
_LOG_BYTES = 16 * 2**10
_KIND_LENGTH = 200
_TERMINATE_S = 5.0
_CHUNK = 64 * 2**10
# Unless disabled, ONNX Runtime collects telemetry, in its own thread and in files of the user's cache.
_QUIET = {"ORT_DISABLE_TELEMETRY": "1"}


class Stop(Protocol):
    """A request to stop: a descriptor that becomes readable, and a check that raises."""

    def fileno(self) -> int:
        """Return a descriptor to wait on beside the worker's."""

    def check(self) -> None:
        """Raise Interrupted if a stop was requested."""


class WorkerFailed(Exception):
    """A worker died, hung, or sent something that is not a result. `kind` is equal for equal causes."""

    def __init__(self, cause: Failure | str, reason: str = "", log: str = "", exit_code: int | None = None) -> None:
        """Take a failure, or the kind and reason of one that was reported.

        `exit_code` is that of a failure that ends the study; None if only the trial fails.
        """
        self.failure = cause if isinstance(cause, Failure) else Failure.reported(cause, reason, log)
        super().__init__(self.failure.reason)
        self.kind, self.reason, self.log = self.failure.kind, self.failure.reason, self.failure.log
        self.exit_code = exit_code


class WorkerProcess:
    """`python -m module`, which reads requests from standard input and answers on its own descriptor.

    Answers are `{"phase": name}`, `{"progress": {...}}`, and finally `{"result": {...}}` or
    `{"failure": {"kind", "reason"}}`, each with the request's `number`; later answers with that number are ignored. The
    last 16 KiB of printed output are the log. The memory of the whole tree is checked during every wait, with the least
    disturbance in the phases named `undisturbed`. Raises WorkerFailed when no process can be started.
    """

    def __init__(
        self,
        module: str,
        stop: Stop | None = None,
        environment: Mapping[str, str] | None = None,
        undisturbed: Collection[str] = (),
    ) -> None:
        answers, answer_end = os.pipe()
        self._token = uuid.uuid4().hex
        # Blocked in the worker, SIGCONT stays pending: so it can detect that it was stopped and continued.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
        self.started_ns = time.monotonic_ns()
        try:
            self.process = subprocess.Popen(
                # -P: a user's file with the name of an imported module must not shadow it
                [sys.executable, "-P", "-m", module, str(answer_end), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(answer_end,),
                start_new_session=True,
                env={**os.environ, **_QUIET, **(environment or {}), process_tree.MARK: self._token},
            )
        except OSError as error:
            os.close(answers)
            raise WorkerFailed("no process", f"the system starts no further process: {error}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(answer_end)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stop = stop
        self._requests = self.process.stdin
        self._answers, self._output = answers, self.process.stdout.fileno()
        for descriptor in (self._answers, self._output):
            os.set_blocking(descriptor, False)
        self._buffer, self._log = bytearray(), bytearray()
        self._is_printing = True
        self._phase, self._number = "start", 0
        self._undisturbed = frozenset(undisturbed)
        self._watchdog = process_tree.Watchdog(self.process.pid, self._token, process_tree.limit_mib())

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """The end of the worker's printed output."""
        return self._log.decode("utf-8", "replace")

    def ask(
        self,
        request: Mapping[str, Any],
        deadlines_s: Mapping[str, float],
        on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Send a request and return its result.

        `deadlines_s` maps a phase to the seconds that it may be silent; "" is the default. Raises WorkerFailed, after
        which the process has ended unless it reported the failure itself; Interrupted when a stop was requested.
        """
        self._phase = "start"
        self._number += 1
        with contextlib.suppress(BrokenPipeError):  # the death is reported below, with exit status and log
            self._requests.write(json.dumps({**request, "number": self._number}).encode() + b"\n")
            self._requests.flush()
        while True:
            answer = self._receive(deadlines_s.get(self._phase, deadlines_s[""]))
            if "phase" in answer:
                self._phase = _text(answer["phase"], _KIND_LENGTH)
            elif isinstance(answer.get("progress"), dict):
                on_progress(answer["progress"])
            elif isinstance(answer.get("result"), dict):
                return dict(answer["result"])
            elif isinstance(answer.get("failure"), dict):
                failure = answer["failure"]
                kind, reason = _text(failure.get("kind"), _KIND_LENGTH), _text(failure.get("reason"), _LOG_BYTES)
                raise WorkerFailed(kind, reason, self.log, failure.get("exit_code"))
            else:
                raise self._failed("bad result", f"an unexpected answer in phase {self._phase!r}")

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the next answer to the last request; late answers to earlier ones are skipped."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._line(deadline, timeout_s)
            try:
                answer = json.loads(line)
            except (ValueError, RecursionError):
                answer = None
            if not isinstance(answer, dict):
                raise self._failed("bad result", f"an answer in phase {self._phase!r} that is not a JSON object")
            number = answer.get("number")
            if number == self._number:
                return answer
            if not isinstance(number, int) or number > self._number:
                raise self._failed("bad result", f"an answer in phase {self._phase!r} to no request")
            if time.monotonic() > deadline:
                raise self._timed_out(timeout_s)

    def _line(self, deadline: float, timeout_s: float) -> bytes:
        """Return the next line of the answers, waiting on the descriptors."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > _MAX_MESSAGE_BYTES:
                raise self._failed("bad result", f"an answer of more than {_MAX_MESSAGE_BYTES >> 20} MiB")
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._timed_out(timeout_s)
            if not self._wait(remaining):
                raise self._ended()
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = bytearray(rest)
        return bytes(line)

    def _wait(self, seconds: float) -> bool:
        """Wait for output and check the tree's memory; return False when no further answer can come."""
        was_alive = self.is_alive  # a forked copy may hold the answers open after the worker's death
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if self._is_printing:
                selector.register(self._output, selectors.EVENT_READ)
            if self._stop is not None:
                self._stop.check()
                selector.register(self._stop.fileno(), selectors.EVENT_READ)
            timeout_s = min(seconds, self._watchdog.seconds) if was_alive else 0.0
            ready = {key.fd for key, _ in selector.select(timeout_s)}
        if self._stop is not None:
            self._stop.check()
        if self._output in ready:
            self._drain_log()
        self._look()
        if self._answers in ready:
            chunk = os.read(self._answers, _CHUNK)
            self._buffer += chunk
            return bool(chunk)
        return was_alive

    def _look(self) -> None:
        """Check the tree's memory if that is due; above the limit, end the tree at once and raise WorkerFailed."""
        if self._watchdog.seconds > 0:
            return
        held, limit = self._watchdog.look(self._phase in self._undisturbed), self._watchdog.limit_mib
        if held > limit:
            # Rounded up, so that a value above the limit differs from it.
            raise self._ended_by(
                "out_of_memory", is_patient=False, held_mib=float(math.ceil(held)), limit_mib=float(limit)
            )

    def _drain_log(self) -> None:
        """Read once, so that endless output cannot delay the deadline."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self._output, _CHUNK)
            self._is_printing = bool(chunk)
            self._log += chunk
            del self._log[:-_LOG_BYTES]

    def _ended(self) -> WorkerFailed:
        """Return why no result can come."""
        try:
            status = self.process.wait(_TERMINATE_S)
        except subprocess.TimeoutExpired:
            return self._failed("bad result", f"it closed its answers in phase {self._phase!r} and continued")
        self._drain_log()
        if status < 0:
            names = {known.value: known.name for known in signal.Signals}  # most real-time signals have none
            name = names.get(-status, str(-status))
            return self._ended_by("killed") if name == "SIGKILL" else self._ended_by("signal", signal=name)
        if self._buffer:
            return self._failed("bad result", f"an answer in phase {self._phase!r} that breaks off")
        return self._ended_by("no_result", status=float(status))

    def _timed_out(self, timeout_s: float) -> WorkerFailed:
        return self._ended_by("timeout", seconds=float(timeout_s))

    def _failed(self, kind: str, reason: str) -> WorkerFailed:
        self.close()
        return WorkerFailed(kind, reason, self.log)

    def _ended_by(self, cause: str, is_patient: bool = True, **values: float | str) -> WorkerFailed:
        """End the process, and return its failure in the present phase."""
        self.close(is_patient)
        return WorkerFailed(Failure(cause, {"phase": self._phase, **values}, self.log))

    def close(self, is_patient: bool = True) -> None:
        """End the process and its tree: SIGTERM, then SIGKILL after 5 s, or at once unless `is_patient`. Idempotent."""
        if self.process.returncode is None or self._answers >= 0:
            relatives = process_tree.relatives(self.process.pid, self._token)
            if is_patient and self.is_alive:
                with contextlib.suppress(OSError):
                    self._requests.close()
                self._signal_group(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(_TERMINATE_S)
            self._signal_group(signal.SIGKILL)
            self.process.wait()
            process_tree.end(relatives, self._token, _TERMINATE_S)
        if self._answers >= 0:
            self._drain_log()
            os.close(self._answers)
            assert self.process.stdout is not None
            self.process.stdout.close()
            with contextlib.suppress(OSError):
                self._requests.close()
            self._answers = -1

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def _text(value: object, length: int) -> str:
    """Return a worker's value as encodable text of bounded length."""
    return str(value)[:length].encode("utf-8", "replace").decode()
