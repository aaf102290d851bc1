"""The dashboard's server: a port of this machine, in a thread of the coordinator, and an end within a second.

`explorer.system.cores.keep_free` moves the thread off the measuring cores, with all others, while a probe runs. Worker
processes do not inherit its socket. The study goes on whatever happens to the server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from uvicorn.protocols.http.h11_impl import H11Protocol

from explorer.errors import NotAvailable
from explorer.views.server.app import make_app, page_text
from explorer.views.server.events import EventStreams
from explorer.views.server.feed import Feed
from explorer.views.server.security import AccessRules, new_keys
from explorer.views.server.snapshots import Snapshots
from explorer.web.addresses import LOOPBACK_HOST, address_to_open, allowed_hosts, listening
from explorer.web.server import ConnectionLimits, WebServer

DEFAULT_PORT = 8321
MAX_CONNECTIONS = 64  # a browser has six
FIRST_REQUEST_S = 20.0
_STOP_S = 3.0


@final
class Server:
    """The dashboard of `feed`, served from construction on. `port` None: the default one, or the next that is free.

    `on_fault` is called in the server's thread with one sentence for each fault. Raises NoDashboard when the port is
    taken, when `host` is none of this machine's, or when the system starts no thread.
    """

    def __init__(
        self,
        feed: Feed,
        port: int | None = None,
        host: str = LOOPBACK_HOST,
        on_fault: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._feed = feed
        self._on_fault = on_fault
        self._streams = EventStreams(feed)
        self._snapshots = Snapshots(feed)
        try:
            self._socket = listening(host, port, DEFAULT_PORT)
            self.port: int = self._socket.getsockname()[1]
            keys = new_keys(feed.state().result.folder, self.port)
            self.link = f"{address_to_open(host, self.port)}/?token={keys.token}"
            access = AccessRules(allowed_hosts(host, self.port), keys, self.port)
            self._web = WebServer(
                make_app(feed, self._streams, access, on_fault, self._snapshots),
                self._socket,
                ConnectionLimits(H11Protocol, MAX_CONNECTIONS, first_request_s=FIRST_REQUEST_S),
                "dashboard",
                self._on_failure,
            )
        except NotAvailable as error:
            raise NoDashboard(str(error)) from error

    def stop(self) -> None:
        """End every stream, close the port, and wait for the thread. Safe to call twice."""
        self._streams.stop()
        self._web.stop(_STOP_S)

    def prepare(self) -> None:
        """Build what the first page requests in advance: for 50,000 trials it takes a second."""
        try:
            page_text(self._feed.state().result)
            self._snapshots.zipped_state()
        except Exception as error:  # the request for the page reports it again
            self._on_fault(f"the dashboard could not prepare its first page: {type(error).__name__}: {error}")

    def _on_failure(self, error: BaseException) -> None:
        self._on_fault(f"the dashboard has stopped: {type(error).__name__}: {error}; the study goes on")


class NoDashboard(NotAvailable):
    """There is no port, or no thread, to serve the dashboard with."""
