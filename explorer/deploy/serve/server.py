"""The model server: a port with its connections, the workers behind it, and an end that answers what was accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from explorer.deploy.serve.app import ON_GONE, Parts, make_app
from explorer.deploy.serve.counters import Metrics, ServerState
from explorer.deploy.serve.model import Model
from explorer.deploy.serve.requests import TRUNCATED
from explorer.deploy.serve.workers import Options, Workers
from explorer.errors import ExplorerError, UsageError
from explorer.web.addresses import LOOPBACK_HOST, address_to_open, allowed_hosts, listening
from explorer.web.responses import compact_json
from explorer.web.server import ConnectionLimits, WebServer, said_once

DEFAULT_PORT = 8000
MAX_CONNECTIONS = 512
KEEP_ALIVE_S = 75
SWEEP_S = 5.0
_MAX_HEAD_BYTES = 64 * 2**10
GRACE_S = 20.0
_LINGER_S = 1.0
_WORKERS_S = 1.0
_POLL_S = 0.02


@final
class ModelServer:
    """A model behind a port, served from construction on. `port` None: the default one, or the next that is free.

    `on_fault` is called in other threads with one sentence for each kind of fault. Raises NoPort; UsageError for
    micro-batches of a model whose outputs depend on the other examples of a batch.
    """

    def __init__(
        self,
        model: Model,
        options: Options,
        host: str = LOOPBACK_HOST,
        port: int | None = None,
        on_fault: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        if options.max_batch > 1 and not model.is_batch_invariant:
            raise UsageError(
                f"--max-batch {options.max_batch}: the {model.output.name} of an {model.task.noun[0]} depend on its "
                f"batch in {model.name}, so requests of different clients are not put together; leave --max-batch out"
            )
        listener = listening(host, port, DEFAULT_PORT)
        self.port: int = listener.getsockname()[1]
        self.address = address_to_open(host, self.port)
        self.metrics = Metrics(model)
        report = said_once(on_fault)
        self._state = ServerState()
        self._workers = Workers(model, options, self.metrics, report)
        self._grace_s = GRACE_S
        self._n_lost = 0
        self._web = WebServer(
            make_app(Parts(model, self._workers, self.metrics, self._state, report), allowed_hosts(host, self.port)),
            listener,
            connection_limits(),
            "model-server",
            on_failure=lambda error: report(f"the server has stopped: {type(error).__name__}: {error}"),
            before_end=self._drain,
        )

    @property
    def is_running(self) -> bool:
        """Whether the server still answers."""
        return self._web.is_running

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Accept no more connections, answer the accepted requests, and end. Safe to call twice.

        Raises ExplorerError when requests are not answered within `grace_s`.
        """
        self._grace_s = grace_s
        self._web.stop()
        self._workers.stop(_WORKERS_S)
        if self._n_lost:
            raise ExplorerError(f"requests that were not answered within {grace_s:g} s, and are lost: {self._n_lost}")

    async def _drain(self) -> float:
        """Answer the accepted requests within the grace time; return the seconds that are left to send responses.

        A client may have sent a request on an idle connection, or connected, just before: these are waited for.
        """
        now, connections = asyncio.get_running_loop().time, self._web.connections
        until, linger_until = now() + self._grace_s, now() + min(_LINGER_S, self._grace_s)
        self._state.is_closing = True
        await asyncio.sleep(0)  # connections in the backlog are accepted
        self._web.close_listener()
        while (self._state.n_open or connections) and now() < (until if self._state.n_open else linger_until):
            await asyncio.sleep(_POLL_S)
        self._n_lost = self._state.n_open
        if self._n_lost:
            for connection in list(connections):
                connection.transport.abort()
        return max(1.0, until - now())


def connection_limits() -> ConnectionLimits:
    """Return the limits of the model server's connections."""
    refusal = _written(503, f"{MAX_CONNECTIONS} connections are open already: try again later")
    return ConnectionLimits(Connection, MAX_CONNECTIONS, refusal, keep_alive_s=KEEP_ALIVE_S, sweep_s=SWEEP_S)


@final
class Connection(HttpToolsProtocol):
    """uvicorn's HTTP connection with a limit of what a client sends besides bodies, and errors as JSON."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._n_head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; refuse headers, trailers and chunk frames beyond a limit (status 431)."""
        self._n_head_bytes += len(data)
        super().data_received(data)
        if self._n_head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, "the request's headers, or the frames of its chunks, are too long")

    def on_message_begin(self) -> None:
        """Begin to count the bytes of a new request."""
        self._n_head_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Leave the body out of the count: it has limits of its own."""
        self._n_head_bytes -= len(body)
        super().on_body(body)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn narrows what asyncio allows
        """Mark a body that ends early as truncated, so that the request is still answered."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            return None
        cycle.scope["state"][TRUNCATED] = True
        cycle.more_body = cycle.keep_alive = False
        cycle.message_event.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Call `ON_GONE` of a request that is not answered yet."""
        cycle = self.cycle
        super().connection_lost(exc)
        if cycle is not None and not cycle.response_complete:
            cycle.scope["state"].get(ON_GONE, lambda: None)()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(400, "the request is not HTTP/1.1 as it should be")

    def _refuse(self, status: int, sentence: str) -> None:
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_written(status, sentence))
        self.transport.close()


def _written(status: int, sentence: str) -> bytes:
    """Return a whole HTTP response, for refusals before the application is called."""
    body = compact_json({"error": sentence})
    phrase = HTTPStatus(status).phrase
    head = [f"HTTP/1.1 {status} {phrase}", "content-type: application/json", f"content-length: {len(body)}"]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        head.append("retry-after: 1")
    return "\r\n".join([*head, "connection: close", "", ""]).encode("ascii") + body
