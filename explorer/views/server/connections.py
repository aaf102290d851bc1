"""Connections: how many there may be, and how long one may keep silent, so that no reader can starve the study.

Whoever reaches the port could otherwise hold open as many as the coordinator has file descriptors, without any token.
"""

from __future__ import annotations

import asyncio
from typing import Any, final

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_CONNECTIONS = 64  # a browser has six
FIRST_REQUEST_S = 20.0


def connection(*, server_state: ServerState, **options: Any) -> asyncio.Protocol:
    """What uvicorn asks for when somebody connects: HTTP, or a closed door."""
    return _Door(server_state, options)


@final
class _Door(asyncio.Protocol):
    """Lets HTTP in, or hangs up. It decides when the connection is made: of a crowd, each is asked for before that."""

    def __init__(self, server_state: ServerState, options: dict[str, Any]) -> None:
        self._server_state, self._options = server_state, options

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up, or leave the connection to HTTP."""
        assert isinstance(transport, asyncio.Transport)
        if len(self._server_state.connections) >= MAX_CONNECTIONS:
            transport.close()
            return
        one = H11Protocol(server_state=self._server_state, **self._options)
        transport.set_protocol(one)
        one.connection_made(transport)
        asyncio.get_running_loop().call_later(FIRST_REQUEST_S, _end_if_silent, one)


def _end_if_silent(one: H11Protocol) -> None:
    """End a connection that has not asked for anything yet."""
    if one.cycle is None and one.transport is not None:
        one.transport.abort()
