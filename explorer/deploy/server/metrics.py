"""Metrics: what the server counts and times, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import numpy as np
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from explorer.deploy.server.model import VERSION, Model
from explorer.runtimes.staged import Array

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# From a fifth of a millisecond, a small int8 network, to requests that wait for seconds.
_SECONDS = (2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_FIRST_REFUSAL, _FAILED = 400, 500
CLIENT_GONE: Final = 499
"""The status of a request whose client hung up before it was answered; nobody else sees it."""


@final
class Metrics:
    """The counters of one server. Safe to use from several threads."""

    def __init__(self, model: Model) -> None:
        self._registry = registry = CollectorRegistry()
        info = Gauge(
            "explore_model_info", "The model that is served; always 1.", ("name", "version"), registry=registry
        )
        info.labels(model.name, VERSION).set(1)
        self._requests = Counter(
            "explore_requests",
            "Requests by their answer; 499: the client hung up before.",
            ("route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "explore_request_duration_seconds",
            "From a request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejected = Counter(
            "explore_rejected_requests", "Requests that were refused for want of room.", ("reason",), registry=registry
        )
        self._inference = Histogram(
            "explore_inference_duration_seconds", "One call of the model.", buckets=_SECONDS, registry=registry
        )
        self._batches = Histogram(
            "explore_batch_images", "Images in one call of the model.", buckets=_IMAGES, registry=registry
        )
        self._failures = Counter("explore_inference_failures", "Calls of the model that failed.", registry=registry)
        exits = Counter("explore_exits", "Images by the exit that they took.", ("exit",), registry=registry)
        self._exits = [exits.labels(str(index)) for index in range(model.n_exits)]
        self._queue = Gauge("explore_queue_length", "Requests that wait for a worker.", registry=registry)
        for reason in ("queue", "memory"):
            self._rejected.labels(reason)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Ask `length` for the queue's length whenever the metrics are read."""
        self._queue.set_function(length)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rejected(self, reason: str) -> None:
        """A request was refused for want of room: `queue` or `memory`."""
        self._rejected.labels(reason).inc()

    def classified(self, exits: Array, seconds: float) -> None:
        """The model was called: the exits [b] that the images took."""
        self._inference.observe(seconds)
        self._batches.observe(len(exits))
        for counter, n_images in zip(self._exits, np.bincount(exits, minlength=len(self._exits)), strict=True):
            counter.inc(int(n_images))

    def failed(self) -> None:
        """A call of the model failed."""
        self._failures.inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def sentence(self) -> str:
        """What happened, in one line for people."""
        by_status: dict[int, int] = {}
        n_images = 0
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == "explore_requests_total":
                    status = int(sample.labels["status"])
                    by_status[status] = by_status.get(status, 0) + int(sample.value)
                elif sample.name == "explore_exits_total":
                    n_images += int(sample.value)
        n_failed, n_abandoned = by_status.pop(_FAILED, 0), by_status.pop(CLIENT_GONE, 0)
        n_refused = sum(n for status, n in by_status.items() if status >= _FIRST_REFUSAL)
        n_all = sum(by_status.values()) + n_failed + n_abandoned
        what = f"refused {n_refused}, failed {n_failed}, abandoned {n_abandoned}"
        return f"requests {n_all} ({what}), images classified {n_images}"
