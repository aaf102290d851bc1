"""A supervised process: JSON lines, a deadline a phase, bounded log and memory; its whole tree dies with its parent."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Protocol

from explorer.measure import process_tree

_MAX_MESSAGE_BYTES = 16 * 2**20
_LOG_BYTES = 16 * 2**10
_KIND_LENGTH = 200
_TERMINATE_S = 5.0
_CHUNK = 64 * 2**10
# ONNX Runtime collects how it is used, in a thread of its own and files in the user's cache, unless told not to.
_QUIET = {"ORT_DISABLE_TELEMETRY": "1"}


class Stop(Protocol):
    """How a wait learns that the user wants to stop: a descriptor that becomes readable, and a check that raises."""

    def fileno(self) -> int:
        """A descriptor to wait on beside the child's."""

    def check(self) -> None:
        """Raises Interrupted when the user wants to stop."""


class ChildFailed(Exception):
    """A child died, hung, or said something that is not a result. `kind` repeats exactly when the cause does."""

    def __init__(self, kind: str, reason: str, log: str = "", exit_code: int | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.log = log
        self.exit_code = exit_code
        """The exit code that the failure calls for when it ends the study, None when only the trial fails."""


class Child:
    """`python -m module`, which reads requests from standard input and answers on a descriptor of its own.

    Answers are `{"phase": name}`, `{"progress": {...}}`, and at last `{"result": {...}}` or
    `{"failure": {"kind", "reason"}}`, each with the request's `number`: what comes after that last one is an answer to
    nothing. Whatever the child prints goes to a log of which the last 16 KiB are kept. While it is waited for, the
    memory of its whole tree is watched, in the phases named `undisturbed` as quietly as possible. Raises ChildFailed
    when no process can be started.
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
        # It stays blocked over there, and pending: so a child can ask whether it was stopped and continued.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
        self.started_ns = time.monotonic_ns()
        try:
            self.process = subprocess.Popen(
                # -P: a file of the user's that is called like one of our modules' imports is not imported
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
            raise ChildFailed("no process", f"the system starts no further process: {error}") from error
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

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """The end of what the child printed."""
        return self._log.decode("utf-8", "replace")

    def ask(
        self,
        request: Mapping[str, Any],
        deadlines_s: Mapping[str, float],
        on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Send a request and wait for its result.

        `deadlines_s` maps a phase to the seconds that it may be silent; "" is every other phase's. Raises ChildFailed,
        after which the process is gone unless it reported the failure itself; Interrupted when the user wants to stop.
        """
        self._phase = "start"
        self._number += 1
        with contextlib.suppress(BrokenPipeError):  # a dead child shows itself below, with its exit status and log
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
                raise ChildFailed(kind, reason, self.log, failure.get("exit_code"))
            else:
                raise self._failed("bad result", f"an unexpected answer in phase {self._phase!r}")

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        """The next answer to the last request; what still comes in answer to an earlier one is passed over."""
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
        """The next line of the answers. Waits on the descriptors, never in a loop of its own."""
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
        """Wait for output, with an eye on the tree's memory; False when no answer can come any more."""
        was_alive = self.is_alive  # where a forked copy holds the answers open, the child's death does not close them
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
        """Look at the tree's memory if that is due. Above the limit the tree ends at once; raises ChildFailed then."""
        if self._watchdog.seconds > 0:
            return
        held, limit = self._watchdog.look(self._phase in self._undisturbed), self._watchdog.limit_mib
        if held > limit:
            reason = f"it held {held:.0f} MiB in phase {self._phase!r}, and this machine had {limit:.0f} MiB for it"
            raise self._failed("out of memory", reason, is_patient=False)

    def _drain_log(self) -> None:
        """One read, so that a child that prints without end cannot keep us from its deadline."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self._output, _CHUNK)
            self._is_printing = bool(chunk)
            self._log += chunk
            del self._log[:-_LOG_BYTES]

    def _ended(self) -> ChildFailed:
        """Why no result can come any more."""
        try:
            status = self.process.wait(_TERMINATE_S)
        except subprocess.TimeoutExpired:
            return self._failed("bad result", f"it closed its answers in phase {self._phase!r} and went on")
        self._drain_log()
        if status < 0:
            name = _signal_name(-status)
            hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
            return self._failed(f"signal {name}", f"ended by {name} in phase {self._phase!r}{hint}")
        if self._buffer:
            return self._failed("bad result", f"an answer in phase {self._phase!r} that breaks off")
        return self._failed("no result", f"exited with status {status} in phase {self._phase!r} without a result")

    def _timed_out(self, timeout_s: float) -> ChildFailed:
        return self._failed(f"timeout in {self._phase}", f"no answer in phase {self._phase!r} for {timeout_s:g} s")

    def _failed(self, kind: str, reason: str, is_patient: bool = True) -> ChildFailed:
        self.close(is_patient)
        return ChildFailed(kind, reason, self.log)

    def close(self, is_patient: bool = True) -> None:
        """End the process and all that it started: SIGTERM, then SIGKILL after 5 s, or at once. Safe to call twice."""
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


def _signal_name(number: int) -> str:
    """SIGSEGV, or the number of one without a name, as most real-time signals are."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _text(value: object, length: int) -> str:
    """What a child said, as text that can be written to any file, and no longer than it is worth."""
    return str(value)[:length].encode("utf-8", "replace").decode()
