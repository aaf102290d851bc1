"""Worker threads that run the model on the requests of a bounded queue, one by one or in micro-batches.

The event loop submits; a worker prepares the inputs (for example, decodes a file), runs the model, and returns the
outcome to the loop. Runtimes release the interpreter's lock while they compute.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import final

import numpy as np

from explorer.deploy.serve.counters import Metrics
from explorer.deploy.serve.model import Model
from explorer.deploy.serve.requests import MAX_EXAMPLES, Refused
from explorer.errors import UsageError
from explorer.runtimes.staged import Array

_MAX_WORKERS = 256
_MAX_QUEUE = 100_000
_MAX_DELAY_MS = 10_000.0
_MAX_RETRY_S = 60
_SMOOTHING = 0.1  # weight of the newest batch in the moving average of seconds per request
_FAILED = "the model failed on this request; the server goes on, and its standard error says why"


@dataclass(frozen=True, slots=True)
class Options:
    """How requests are executed. Raises UsageError for a value that is out of range.

    workers       threads that run the model
    queue         requests that may wait for a worker; more are refused
    max_batch     examples of different requests that a worker may put together; 1: no micro-batching
    max_delay_ms  how long a worker may wait for them
    """

    workers: int = 1
    queue: int = 64
    max_batch: int = 1
    max_delay_ms: float = 0.0

    def __post_init__(self) -> None:
        for flag, value, most in (
            ("--workers", self.workers, _MAX_WORKERS),
            ("--queue", self.queue, _MAX_QUEUE),
            ("--max-batch", self.max_batch, MAX_EXAMPLES),
        ):
            if not 1 <= value <= most:
                raise UsageError(f"{flag} {value}: expected a number from 1 to {most}")
        if not (math.isfinite(self.max_delay_ms) and 0 <= self.max_delay_ms <= _MAX_DELAY_MS):
            raise UsageError(f"--max-delay-ms {self.max_delay_ms:g}: expected milliseconds from 0 to {_MAX_DELAY_MS:g}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one request: outputs [b, k], the stages [b] that decided, and times in the queue, for decoding and
    for inference."""

    outputs: Array
    stages: Array
    queue_ms: float
    decode_ms: float
    inference_ms: float


@final
class Work:
    """A queued request. `prepare` returns its inputs [b, ...], and is called in a worker."""

    def __init__(self, n_examples: int, prepare: Callable[[], Array]) -> None:
        self.n_examples = n_examples
        self.prepare = prepare
        self.future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.since = time.perf_counter()


@final
class Workers:
    """The worker threads of one server. `on_fault` is called with a sentence about every failed call of the model."""

    def __init__(self, model: Model, options: Options, metrics: Metrics, on_fault: Callable[[str], None]) -> None:
        self._model = model
        self._options = options
        self._metrics = metrics
        self._on_fault = on_fault
        self._waiting: deque[Work] = deque()
        self._changed = threading.Condition()
        # Two workers that gather a batch would each wait for the requests that the other has taken.
        self._taking: AbstractContextManager[object] = threading.Lock() if options.max_batch > 1 else nullcontext()
        self._is_stopping = False
        self._mean_s = 0.0
        metrics.watch_queue(lambda: len(self._waiting))
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{index}", daemon=True) for index in range(options.workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, n_examples: int, prepare: Callable[[], Array]) -> Work:
        """Queue a request of inputs [n, ...] from the event loop. Raises Refused (503) when the queue is full."""
        work = Work(n_examples, prepare)
        with self._changed:
            if len(self._waiting) < self._options.queue:
                self._waiting.append(work)
                self._changed.notify()
                return work
        self._metrics.rejected("queue")
        raise Refused(
            503,
            f"the queue is full ({self._options.queue}): try again later, or start the server with a longer --queue",
            {"retry-after": str(self._retry_s())},
        )

    def drop(self, work: Work) -> None:
        """Cancel work whose client has gone. A call of the model that has begun is completed."""
        with self._changed:
            if work in self._waiting:
                self._waiting.remove(work)
        work.future.cancel()

    def stop(self, seconds: float) -> None:
        """Clear the queue and end the threads; after `seconds`, threads that still compute are abandoned."""
        with self._changed:
            self._is_stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _retry_s(self) -> int:
        """Return when the queue will be processed, in whole seconds."""
        estimate = math.ceil(self._mean_s * self._options.queue / self._options.workers)
        return min(max(1, estimate), _MAX_RETRY_S)

    def _run(self) -> None:
        while batch := self._take():
            self._execute(batch)

    def _take(self) -> list[Work]:
        """Return the next micro-batch, gathered by one worker at a time; empty: the end."""
        with self._taking, self._changed:
            while not self._waiting:
                if self._is_stopping:
                    return []
                self._changed.wait()
            batch = [self._waiting.popleft()]
            self._gather(batch)
            return batch

    def _gather(self, batch: list[Work]) -> None:
        room = self._options.max_batch - batch[0].n_examples
        until = time.monotonic() + self._options.max_delay_ms / 1000
        while room > 0 and not self._is_stopping:
            if self._waiting:
                if self._waiting[0].n_examples > room:
                    return
                batch.append(self._waiting.popleft())
                room -= batch[-1].n_examples
            elif (left_s := until - time.monotonic()) > 0:
                self._changed.wait(left_s)
            else:
                return

    def _execute(self, batch: Sequence[Work]) -> None:
        began = time.perf_counter()
        ready: list[tuple[Work, Array, float]] = []
        for work in batch:
            if work.future.cancelled():
                continue
            start = time.perf_counter()
            try:
                ready.append((work, work.prepare(), 1000 * (time.perf_counter() - start)))
            except Refused as refused:
                self._settle(work, refused)
            except Exception as error:
                self._report(error)
                self._settle(work, Refused(500, _FAILED))
        if ready:
            self._run_on(ready, began)
        self._mean_s += _SMOOTHING * ((time.perf_counter() - began) / len(batch) - self._mean_s)

    def _run_on(self, ready: Sequence[tuple[Work, Array, float]], began: float) -> None:
        inputs = ready[0][1] if len(ready) == 1 else np.concatenate([made for _, made, _ in ready])
        start = time.perf_counter()
        try:
            outputs, stages = self._model.run(inputs)
            seconds = time.perf_counter() - start
            self._model.check(outputs, stages, len(inputs))
        except Exception as error:
            self._report(error)
            for work, _, _ in ready:
                self._settle(work, Refused(500, _FAILED))
            return
        self._metrics.ran(stages, seconds)
        offset = 0
        for work, made, decode_ms in ready:
            own = slice(offset, offset := offset + len(made))
            queue_ms = 1000 * (began - work.since)
            self._settle(work, Outcome(outputs[own], stages[own], queue_ms, decode_ms, 1000 * seconds))

    def _report(self, error: Exception) -> None:
        self._metrics.failed()
        self._on_fault(f"the model failed on a request: {type(error).__name__}: {error}")

    def _settle(self, work: Work, outcome: Outcome | Refused) -> None:
        with suppress(RuntimeError):  # the loop has ended: the grace time is over
            work.future.get_loop().call_soon_threadsafe(_complete, work.future, outcome)


def _complete(future: asyncio.Future[Outcome], outcome: Outcome | Refused) -> None:
    if future.cancelled():
        return  # its client has gone
    if isinstance(outcome, Refused):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
