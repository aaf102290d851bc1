"""The server's thread: a port of this machine, uvicorn behind it, and an end within a second.

It is a thread of the coordinator: `explorer.measure.cores.kept_free` moves it off the measuring cores, with all others,
while a probe runs. Child processes do not inherit its socket. Whatever happens to it, the study goes on.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from typing import cast, final

import uvicorn

from explorer.errors import NotAvailable
from explorer.views.server.app import make_app
from explorer.views.server.connections import connection
from explorer.views.server.events import EventStreams
from explorer.views.server.feed import Feed
from explorer.views.server.keys import new_keys
from explorer.views.server.security import Door, allowed_hosts, is_loopback

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8321
_N_PORTS = 20
_STOP_S = 3.0
_BACKLOG = 128


@final
class Server:
    """The dashboard of `feed`, from the moment that it is made. `port` None: the default one, or the next that is free.

    `on_fault` hears, from the server's thread, one sentence for each thing that went wrong. Raises NoDashboard when
    the port is taken, or `host` is none of this machine's.
    """

    def __init__(
        self,
        feed: Feed,
        port: int | None = None,
        host: str = DEFAULT_HOST,
        on_fault: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._socket = _listening(host, port)
        self._on_fault = on_fault
        self.port: int = self._socket.getsockname()[1]
        keys = new_keys(feed.state().result.folder, self.port)
        self.link = f"http://{_address(host)}:{self.port}/?token={keys.token}"
        self._streams = EventStreams(feed)
        app = make_app(feed, self._streams, Door(allowed_hosts(host, self.port), keys, self.port), on_fault)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=cast("type[asyncio.Protocol]", connection),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._socket.close()
            raise NoDashboard(f"the system gives no thread ({error})") from error

    def stop(self) -> None:
        """End every stream, let the port go, and wait for the thread. Safe to call twice."""
        self._streams.stop()
        self._uvicorn.should_exit = True
        self._thread.join(_STOP_S)
        self._socket.close()

    async def _serve(self) -> None:
        await self._uvicorn.serve(sockets=[self._socket])
        for one in self._uvicorn.server_state.connections:
            one.transport.abort()  # its reader does not read: what is left in its buffer would keep it open
        await asyncio.sleep(0)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (Exception, SystemExit) as error:  # whatever it is, it must not reach the study
            self._on_fault(f"the dashboard has stopped: {type(error).__name__}: {error}; the study goes on")
        finally:
            self._socket.close()


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens, so that a browser which is faster than the thread waits instead of being refused."""
    if port is not None:
        return _bound(host, port)
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + _N_PORTS):
        try:
            return _bound(host, candidate)
        except _Taken:
            continue
    return _bound(host, 0)


class NoDashboard(NotAvailable):
    """There is no port, or no thread, to serve the dashboard with."""


class _Taken(NoDashboard):
    """The port belongs to another program, or to a user with more rights."""


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise NoDashboard(f"--host {host}: expected a name or an address of this machine ({error.strerror})") from error
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise _Taken(
                f"port {port} of {host} cannot be had ({error.strerror}): choose another with --port, or leave "
                "--port out and the next free one is taken"
            ) from error
        raise NoDashboard(f"the dashboard cannot listen on {host}, port {port}: {error.strerror}") from error
    return found


def _address(host: str) -> str:
    """What a browser on this machine is to be given for `host`."""
    if host in ("0.0.0.0", "::"):  # every address: loopback is one of them
        return DEFAULT_HOST if host == "0.0.0.0" else "[::1]"
    if is_loopback(host) and host.lower() == "localhost":
        return "localhost"
    return f"[{host}]" if ":" in host else host
