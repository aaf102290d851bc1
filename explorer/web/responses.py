"""Responses of every server: compact JSON, static files by name, and the headers that bind the browser.

A web site that the user visits cannot reach a server through the browser under a name of its own (DNS rebinding): a
Host header other than the server's own is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def compact_json(value: object) -> bytes:
    """Return `value` as JSON in ASCII, without spaces. Raises ValueError for NaN and infinities."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with `value` as JSON."""
    return Response(compact_json(value), status, headers, media_type="application/json")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file's bytes, its media type, and how long a browser may keep it (Cache-Control)."""

    content: bytes
    media_type: str
    cache: str = "no-store"

    def response(self) -> Response:
        """Return the file as a response."""
        return Response(self.content, media_type=self.media_type, headers={"cache-control": self.cache})


def static_files(folder: Traversable) -> dict[str, StaticFile]:
    """Return the scripts and style sheets of `folder` by file name, so that no request names a path."""
    table = {}
    for file in folder.iterdir():
        media_type = MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            table[file.name] = StaticFile(file.read_bytes(), media_type)
    return table


@final
class HostGuard:
    """ASGI middleware: refuse foreign Host and Origin headers, and add the security headers to every response.

    `hosts` are the accepted values of Host, `host:port` in lower case. `policy` is the Content-Security-Policy of
    responses that set none. `wrong_host` and `wrong_origin` are the responses to what is refused; with `wrong_origin`
    None, Origin is not checked.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: frozenset[str],
        policy: str,
        wrong_host: Response,
        wrong_origin: Response | None = None,
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.encode("latin-1") for host in hosts)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._wrong_host, self._wrong_origin = wrong_host, wrong_origin
        self._headers = [(b"content-security-policy", policy.encode("latin-1")), *_HEADERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request of any method. Raises RuntimeError for any other protocol."""
        if scope["type"] != "http":
            raise RuntimeError(f"the server speaks HTTP only, not {scope['type']}")

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                own = {name for name, _ in headers}
                message["headers"] = headers + [pair for pair in self._headers if pair[0] not in own]
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, protected)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response to a request that is refused, None for any other."""
        hosts = [value.lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return self._wrong_host
        origins = [value.lower() for name, value in scope["headers"] if name == b"origin"]
        return None if all(origin in self._origins for origin in origins) else self._wrong_origin
