"""Workers: threads that classify what waits in a bounded queue, alone or with what waits beside it.

The event loop submits; a worker prepares (decodes an image, say), classifies, and hands the outcome back to the loop.
Runtimes let go of the interpreter's lock while they compute.
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

from explorer.deploy.server.metrics import Metrics
from explorer.deploy.server.model import Model
from explorer.deploy.server.options import Options
from explorer.deploy.server.refusals import Refused
from explorer.runtimes.staged import Array

_MAX_RETRY_S = 60
_MEMORY_OF_SECONDS = 0.1  # how much the newest request counts in the mean time of one
_FAILED = "the model failed on this request; the server goes on, and its standard error says why"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request's images: logits [b, k], exits [b]; how long it waited, was decoded and classified."""

    logits: Array
    exits: Array
    queue_ms: float
    decode_ms: float
    inference_ms: float


@final
class Work:
    """One request's images, until they are classified. `prepare` makes them, uint8 [b, c, h, w], in a worker."""

    def __init__(self, n_images: int, prepare: Callable[[], Array]) -> None:
        self.n_images = n_images
        self.prepare = prepare
        self.future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.since = time.perf_counter()


@final
class Workers:
    """The threads of one server. `on_fault` hears of every failed call of the model, in one sentence."""

    def __init__(self, model: Model, options: Options, metrics: Metrics, on_fault: Callable[[str], None]) -> None:
        self._model = model
        self._options = options
        self._metrics = metrics
        self._on_fault = on_fault
        self._waiting: deque[Work] = deque()
        self._changed = threading.Condition()
        # Two workers that gather would each wait for what the other has taken.
        self._taking: AbstractContextManager[object] = threading.Lock() if options.max_batch > 1 else nullcontext()
        self._is_stopping = False
        self._mean_s = 0.0
        metrics.watch_queue(lambda: len(self._waiting))
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{index}", daemon=True) for index in range(options.workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, n_images: int, prepare: Callable[[], Array]) -> Work:
        """Queue a request's images, from the event loop. Raises Refused (503) when the queue is full."""
        work = Work(n_images, prepare)
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
        """Forget work whose client has gone; what a worker has begun goes on, for nobody."""
        with self._changed:
            if work in self._waiting:
                self._waiting.remove(work)
        work.future.cancel()

    def stop(self, seconds: float) -> None:
        """Forget what waits and end the threads; one that still computes after `seconds` is left behind."""
        with self._changed:
            self._is_stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _retry_s(self) -> int:
        """When the queue will have been worked off, in whole seconds."""
        estimate = math.ceil(self._mean_s * self._options.queue / self._options.workers)
        return min(max(1, estimate), _MAX_RETRY_S)

    def _run(self) -> None:
        while batch := self._take():
            self._execute(batch)

    def _take(self) -> list[Work]:
        """The next work, and with micro-batching what comes beside it; then one worker at a time. Empty: the end."""
        with self._taking, self._changed:
            while not self._waiting:
                if self._is_stopping:
                    return []
                self._changed.wait()
            batch = [self._waiting.popleft()]
            self._gather(batch)
            return batch

    def _gather(self, batch: list[Work]) -> None:
        room = self._options.max_batch - batch[0].n_images
        until = time.monotonic() + self._options.max_delay_ms / 1000
        while room > 0 and not self._is_stopping:
            if self._waiting:
                if self._waiting[0].n_images > room:
                    return
                batch.append(self._waiting.popleft())
                room -= batch[-1].n_images
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
                self._say(error)
                self._settle(work, Refused(500, _FAILED))
        if ready:
            self._classify(ready, began)
        self._mean_s += _MEMORY_OF_SECONDS * ((time.perf_counter() - began) / len(batch) - self._mean_s)

    def _classify(self, ready: Sequence[tuple[Work, Array, float]], began: float) -> None:
        images = ready[0][1] if len(ready) == 1 else np.concatenate([made for _, made, _ in ready])
        start = time.perf_counter()
        try:
            logits, exits = self._model.classify(images)
            seconds = time.perf_counter() - start
            self._model.check(logits, exits, len(images))
        except Exception as error:
            self._say(error)
            for work, _, _ in ready:
                self._settle(work, Refused(500, _FAILED))
            return
        self._metrics.classified(exits, seconds)
        place = 0
        for work, made, decode_ms in ready:
            own = slice(place, place := place + len(made))
            queue_ms = 1000 * (began - work.since)
            self._settle(work, Outcome(logits[own], exits[own], queue_ms, decode_ms, 1000 * seconds))

    def _say(self, error: Exception) -> None:
        self._metrics.failed()
        self._on_fault(f"the model failed on a request: {type(error).__name__}: {error}")

    def _settle(self, work: Work, outcome: Outcome | Refused) -> None:
        with suppress(RuntimeError):  # the loop has ended: the grace time is over, and nobody waits any more
            work.future.get_loop().call_soon_threadsafe(_tell, work.future, outcome)


def _tell(future: asyncio.Future[Outcome], outcome: Outcome | Refused) -> None:
    if future.cancelled():
        return  # its client has gone
    if isinstance(outcome, Refused):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
