"""Connections: how many there may be, how long a head may be and take, and a client that stops in mid-body."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

TRUNCATED: Final = "is_truncated"
"""Set in a request's state when its client said that no more comes, before the body was whole."""

ON_GONE: Final = "on_gone"
"""What a request's state may have, to be called when its client hangs up: cheaper than a task that waits for that."""

MAX_CONNECTIONS = 512
KEEP_ALIVE_S = 75
SWEEP_S = 5.0
_MAX_HEAD_BYTES = 64 * 2**10
_FULL_LINGER_S = 1.0


def connection(*, server_state: ServerState, **options: Any) -> asyncio.Protocol:
    """What uvicorn asks for when somebody connects."""
    n_open = len(server_state.connections)
    return Connection(server_state=server_state, **options) if n_open < MAX_CONNECTIONS else _Full(server_state)


@final
class Connection(HttpToolsProtocol):
    """uvicorn's connection, with an end to what a client may send besides bodies, and JSON for what is no HTTP."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._n_head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Some bytes of requests. Heads, trailers and the frames of chunks are not held without end."""
        self._n_head_bytes += len(data)
        super().data_received(data)
        if self._n_head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, "the request's headers, or the frames of its chunks, are too long")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._n_head_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A part of a body, which has its own limits."""
        self._n_head_bytes -= len(body)
        super().on_body(body)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn narrows what asyncio allows
        """The client sends no more: in the midst of a body, that is worth an answer."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            return None
        cycle.scope["state"][TRUNCATED] = True
        cycle.more_body = cycle.keep_alive = False
        cycle.message_event.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has hung up, or was made to."""
        cycle = self.cycle
        super().connection_lost(exc)
        if cycle is not None and not cycle.response_complete:
            cycle.scope["state"].get(ON_GONE, _nothing)()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, "the request is not HTTP/1.1 as it should be")

    def _refuse(self, status: int, sentence: str) -> None:
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_written(status, sentence))
        self.transport.close()


def _nothing() -> None:
    """Nobody wants to know."""


@final
class _Full(asyncio.Protocol):
    """Says that there is no room, and hangs up when that has been read, or soon after."""

    cycle = None  # no request is read

    def __init__(self, server_state: ServerState) -> None:
        self._connections: set[Any] = server_state.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything is asked."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connections.add(self)
        transport.write(_written(503, f"{MAX_CONNECTIONS} connections are open already: try again later"))
        transport.write_eof()
        # Closed at once, what the client is still sending would come back as a reset, and take the answer with it.
        asyncio.get_running_loop().call_later(_FULL_LINGER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has hung up, or was made to."""
        self._connections.discard(self)

    def shutdown(self) -> None:
        """The server ends."""
        self.transport.abort()


async def sweep(connections: Iterable[Connection]) -> None:
    """Again and again, end connections that have begun no request for a while, however busily they send."""
    idle: dict[Connection, tuple[Any, float]] = {}
    while True:
        await asyncio.sleep(SWEEP_S)
        now, before, idle = time.monotonic(), idle, {}
        for one in list(connections):
            if one.cycle is not None and not one.cycle.response_complete:
                continue
            last, since = before.get(one, (one.cycle, now))
            idle[one] = (one.cycle, since if last is one.cycle else now)
            if now - idle[one][1] > KEEP_ALIVE_S + SWEEP_S:
                one.transport.abort()


def _written(status: int, sentence: str) -> bytes:
    """A whole answer, for where no application is asked."""
    body = json.dumps({"error": sentence}).encode("ascii")
    phrase = HTTPStatus(status).phrase
    head = [f"HTTP/1.1 {status} {phrase}", "content-type: application/json", f"content-length: {len(body)}"]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        head.append("retry-after: 1")
    return "\r\n".join([*head, "connection: close", "", ""]).encode("ascii") + body
