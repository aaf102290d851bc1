"""The server's thread: a port of this machine, uvicorn behind it, and an end within a second.

It is a thread of the coordinator: `explorer.measure.cores.kept_free` moves it off the measuring cores, with all others,
while a probe runs. Child processes do not inherit its socket. Whatever happens to it, the study goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import cast, final

import uvicorn

from explorer.addresses import LOOPBACK_HOST, NoPort, address_to_open, allowed_hosts, listening
from explorer.errors import NotAvailable
from explorer.views.server.app import make_app, page_text
from explorer.views.server.connections import connection
from explorer.views.server.events import EventStreams
from explorer.views.server.feed import Feed
from explorer.views.server.keys import new_keys
from explorer.views.server.security import Door
from explorer.views.server.snapshots import Snapshots

DEFAULT_PORT = 8321
_STOP_S = 3.0


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
        host: str = LOOPBACK_HOST,
        on_fault: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        try:
            self._socket = listening(host, port, DEFAULT_PORT)
        except NoPort as error:
            raise NoDashboard(str(error)) from error
        self._on_fault = on_fault
        self.port: int = self._socket.getsockname()[1]
        keys = new_keys(feed.state().result.folder, self.port)
        self.link = f"{address_to_open(host, self.port)}/?token={keys.token}"
        self._feed = feed
        self._streams = EventStreams(feed)
        self._snapshots = Snapshots(feed)
        door = Door(allowed_hosts(host, self.port), keys, self.port)
        app = make_app(feed, self._streams, door, on_fault, self._snapshots)
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

    def prepare(self) -> None:
        """Make what the first page will ask for: of 50,000 trials it takes a second, and its reader waits for it."""
        try:
            page_text(self._feed.state().result)
            self._snapshots.zipped_state()
        except Exception as error:  # the first page will meet it again, and say so where it is seen
            self._on_fault(f"the dashboard could not prepare its first page: {type(error).__name__}: {error}")

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


class NoDashboard(NotAvailable):
    """There is no port, or no thread, to serve the dashboard with."""
