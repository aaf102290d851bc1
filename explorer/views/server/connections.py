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
    if len(server_state.connections) >= MAX_CONNECTIONS:
        return _Closed()
    one = H11Protocol(server_state=server_state, **options)
    asyncio.get_running_loop().call_later(FIRST_REQUEST_S, _end_if_silent, one)
    return one


@final
class _Closed(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up."""
        transport.close()


def _end_if_silent(one: H11Protocol) -> None:
    """End a connection that has not asked for anything yet."""
    if one.cycle is None and one.transport is not None:
        one.transport.abort()
