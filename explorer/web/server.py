"""A web server in a thread: uvicorn behind a listening socket, with limits of its connections and an orderly end.

Without limits, any client that reaches the port could hold as many connections as this process has file descriptors.
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast, final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from explorer.errors import NotAvailable

Connection = H11Protocol | HttpToolsProtocol
_REFUSAL_S = 1.0
_SHUTDOWN_S = 1.0
_MAX_FAULTS = 100
_MAX_FAULT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one server's connections.

    protocol         uvicorn's HTTP protocol, or a subclass of it
    max_open         connections that may be open at once
    refusal          the HTTP response to a connection beyond `max_open`; empty: it is closed without a response
    first_request_s  seconds within which a new connection must begin a request; None: no limit
    keep_alive_s     seconds that a connection may stay idle between two requests
    sweep_s          seconds between searches for connections that send, but begin no request; None: no search
    """

    protocol: Callable[..., Connection]
    max_open: int
    refusal: bytes = b""
    first_request_s: float | None = None
    keep_alive_s: int = 5
    sweep_s: float | None = None


def limited(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the protocol factory for uvicorn's option `http`."""

    def connect(*, server_state: ServerState, **options: Any) -> asyncio.Protocol:
        return _Gate(limits, server_state, options)

    return cast("type[asyncio.Protocol]", connect)


@final
class _Gate(asyncio.Protocol):
    """A new connection, which becomes HTTP or is refused.

    The decision is taken when the connection is made: asyncio calls the factory for a whole backlog before that.
    """

    cycle = None  # as uvicorn's protocols have it: no request is read

    def __init__(self, limits: ConnectionLimits, server_state: ServerState, options: dict[str, Any]) -> None:
        self._limits, self._server_state, self._options = limits, server_state, options
        self._connections: set[Any] = server_state.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection over to HTTP, or refuse it."""
        assert isinstance(transport, asyncio.Transport)
        if len(self._connections) >= self._limits.max_open:
            self._refuse(transport)
            return
        connection = self._limits.protocol(server_state=self._server_state, **self._options)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if self._limits.first_request_s is not None:
            asyncio.get_running_loop().call_later(self._limits.first_request_s, abort_if_silent, connection)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Close the connection, because the server ends."""
        self.transport.abort()

    def _refuse(self, transport: asyncio.Transport) -> None:
        if not self._limits.refusal:
            transport.close()
            return
        self.transport = transport
        self._connections.add(self)
        transport.write(self._limits.refusal)
        transport.write_eof()
        # Closed at once, what the client is still sending would be reset, and the response be lost with it.
        asyncio.get_running_loop().call_later(_REFUSAL_S, transport.abort)


def abort_if_silent(connection: Connection) -> None:
    """Close a connection on which no request has begun."""
    if connection.cycle is None and connection.transport is not None:
        connection.transport.abort()


async def sweep(connections: Iterable[Connection], keep_alive_s: float, sweep_s: float) -> None:
    """Close connections on which no request begins for `keep_alive_s`, even if they keep sending; until cancelled."""
    idle: dict[Connection, tuple[Any, float]] = {}
    while True:
        await asyncio.sleep(sweep_s)
        now, before, idle = time.monotonic(), idle, {}
        for connection in list(connections):
            cycle = connection.cycle
            if cycle is not None and not cycle.response_complete:
                continue
            last, since = before.get(connection, (cycle, now))
            idle[connection] = (cycle, since if last is cycle else now)
            if now - idle[connection][1] > keep_alive_s + sweep_s:
                connection.transport.abort()


@final
class WebServer:
    """An ASGI application behind a listening socket, served by a daemon thread from construction on.

    `on_failure` is called in that thread with the error that ended it. `before_end` is awaited when the server is
    stopped, before its connections are closed; it returns how many seconds responses may still take to be sent. Raises
    NotAvailable when the system starts no thread.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        limits: ConnectionLimits,
        name: str,
        on_failure: Callable[[BaseException], None],
        before_end: Callable[[], Awaitable[float]] | None = None,
    ) -> None:
        self._socket = listener
        self._limits = limits
        self._on_failure = on_failure
        self._before_end = before_end
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=limited(limits),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=limits.keep_alive_s,
            )
        )
        self._is_stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._socket.close()
            raise NotAvailable(f"the system gives no thread ({error})") from error
        self._has_begun.wait()

    @property
    def is_running(self) -> bool:
        """Whether the server still answers."""
        return self._thread.is_alive()

    @property
    def connections(self) -> set[Connection]:
        """The open connections, to be read in the server's thread; the set changes with them."""
        return cast("set[Connection]", self._uvicorn.server_state.connections)

    def close_listener(self) -> None:
        """Accept no more connections; for `before_end`, in the server's thread."""
        for server in self._uvicorn.servers:
            server.close()

    def stop(self, timeout_s: float | None = None) -> None:
        """End the server and wait for its thread, at most `timeout_s`. Safe to call twice."""
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self._is_stopped.set)
        self._thread.join(timeout_s)
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (Exception, SystemExit) as error:  # whatever it is, it must not pass unnoticed or end the process
            self._on_failure(error)
        finally:
            self._socket.close()
            self._has_begun.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(self._end_when_stopped())]
        if self._limits.sweep_s is not None:
            tasks.append(asyncio.create_task(sweep(self.connections, self._limits.keep_alive_s, self._limits.sweep_s)))
        self._has_begun.set()
        await self._uvicorn.serve(sockets=[self._socket])
        # A client that does not read leaves its connection open, and the loop learns of a new one a turn later.
        for _ in range(3):
            for connection in list(self.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

    async def _end_when_stopped(self) -> None:
        await self._is_stopped.wait()
        while not self._uvicorn.started:
            await asyncio.sleep(0)
        try:
            seconds = _SHUTDOWN_S if self._before_end is None else await self._before_end()
            self._uvicorn.config.timeout_graceful_shutdown = math.ceil(seconds)
        finally:
            self._uvicorn.should_exit = True


def said_once(report: Callable[[str], None]) -> Callable[[str], None]:
    """Return `report` limited to new sentences, in one line each, and to a hundred of them: clients repeat requests."""
    said: set[str] = set()
    lock = threading.Lock()

    def say(sentence: str) -> None:
        line = " ".join(sentence.split())[:_MAX_FAULT_CHARACTERS]
        with lock:
            if line in said or len(said) >= _MAX_FAULTS:
                return
            said.add(line)
        report(line)

    return say
