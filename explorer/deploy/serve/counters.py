"""Metrics of the server for Prometheus, and the ASGI middleware that counts and times requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final, final

import numpy as np
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.deploy.serve.model import VERSION, Model
from explorer.runtimes.staged import Array

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# From 0.2 ms for a small int8 network to requests that wait for seconds.
_SECONDS = (2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_EXAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_FIRST_REFUSAL, _FAILED = 400, 500
CLIENT_GONE: Final = 499
"""The status in the metrics of a request whose client hung up before it was answered."""


@final
class Metrics:
    """The Prometheus metrics of one server. Thread-safe."""

    def __init__(self, model: Model) -> None:
        self._registry = registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram, several = partial(Histogram, registry=registry), model.task.noun[1].capitalize()
        self._done = f"{model.task.noun[1]} {model.task.verb[1]}"
        info = gauge("explore_model_info", "The model that is served; always 1.", ("name", "version"))
        info.labels(model.name, VERSION).set(1)
        self._requests = counter(
            "explore_requests", "Requests by their answer; 499: the client hung up before.", ("route", "status")
        )
        duration, text = "explore_request_duration_seconds", "From a request's head to the end of its answer."
        self._seconds = histogram(duration, text, ("route",), buckets=_SECONDS)
        text = "Requests that were refused for want of room."
        self._rejected = counter("explore_rejected_requests", text, ("reason",))
        self._inference = histogram("explore_inference_duration_seconds", "One call of the model.", buckets=_SECONDS)
        self._batches = histogram("explore_batch_images", f"{several} in one call of the model.", buckets=_EXAMPLES)
        self._failures = counter("explore_inference_failures", "Calls of the model that failed.")
        exits = counter("explore_exits", f"{several} by the exit that they took.", ("exit",))
        self._exits = [exits.labels(str(index)) for index in range(model.n_exits)]
        self._queue = gauge("explore_queue_length", "Requests that wait for a worker.")
        for reason in ("queue", "memory"):
            self._rejected.labels(reason)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Call `length` for the queue's length whenever the metrics are read."""
        self._queue.set_function(length)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a response with its status, and the seconds that it took."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rejected(self, reason: str) -> None:
        """Count a request that was refused because a limit was reached: `queue` or `memory`."""
        self._rejected.labels(reason).inc()

    def ran(self, exits: Array, seconds: float) -> None:
        """Count a call of the model: the exits [b] that the examples took, and its seconds."""
        self._inference.observe(seconds)
        self._batches.observe(len(exits))
        for counter, n_taken in zip(self._exits, np.bincount(exits, minlength=len(self._exits)), strict=True):
            counter.inc(int(n_taken))

    def failed(self) -> None:
        """Count a failed call of the model."""
        self._failures.inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def sentence(self) -> str:
        """Return a one-line summary of the requests."""
        by_status: dict[int, int] = {}
        n_done = 0
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == "explore_requests_total":
                    status = int(sample.labels["status"])
                    by_status[status] = by_status.get(status, 0) + int(sample.value)
                elif sample.name == "explore_exits_total":
                    n_done += int(sample.value)
        n_failed, n_abandoned = by_status.pop(_FAILED, 0), by_status.pop(CLIENT_GONE, 0)
        n_refused = sum(n for status, n in by_status.items() if status >= _FIRST_REFUSAL)
        n_all = sum(by_status.values()) + n_failed + n_abandoned
        what = f"refused {n_refused}, failed {n_failed}, abandoned {n_abandoned}"
        return f"requests {n_all} ({what}), {self._done} {n_done}"


_OTHER: Final = "other"
_CLOSE = (b"connection", b"close")


@final
class ServerState:
    """How many requests are open, and whether the server ends: then every response closes its connection."""

    def __init__(self) -> None:
        self.is_closing = False
        self.n_open = 0


@final
class RequestCounter:
    """ASGI middleware: count and time every request by its route, and close the connection where that is due."""

    def __init__(self, app: ASGIApp, metrics: Metrics, state: ServerState) -> None:
        self._app = app
        self._metrics = metrics
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        status = CLIENT_GONE

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._state.is_closing or (status >= _FIRST_REFUSAL and _is_body_withheld(scope)):
                    message["headers"] = [*message.get("headers", []), _CLOSE]
            await send(message)

        self._state.n_open += 1
        try:
            await self._app(scope, receive, counted)
        finally:
            self._state.n_open -= 1
            route = getattr(scope.get("route"), "path", _OTHER)
            self._metrics.answered(route, status, time.perf_counter() - began)


def _is_body_withheld(scope: Scope) -> bool:
    """Whether the client waits for a 100 before it sends the body, which it will not send after a refusal."""
    return any(name == b"expect" for name, _ in scope["headers"])
