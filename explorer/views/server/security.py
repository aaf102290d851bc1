"""Security: who is answered, and what every answer forbids the browser. Pure ASGI, around everything else.

Another site cannot read the dashboard, whatever name it gives this machine: a Host that is not ours is refused, and so
is who does not have the token of the printed link. Another site cannot change anything either: the cookie, which
browsers send by themselves, is enough for reading only; everything else needs a token in a header: that of the link, or
the one that the page has asked for, which no other site can read.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.views.server.keys import Keys

TOKEN_HEADER = "x-explore-token"
_READING = ("GET", "HEAD")

# Besides our own files, plotly.js needs inline styles, because it styles its SVG so, and data: and blob: images, for
# "Download plot as a PNG". 'unsafe-eval', which its WebGL traces once needed, it needs no longer.
_POLICY = (
    "default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1.5rem }}
h1 {{ font-size: 1.25rem }}</style></head>
<body><main><h1>{title}</h1><p>{text}</p>{more}</main></body></html>
"""


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in: under which names (`host:port`, lower case), with which keys, under which cookie."""

    hosts: frozenset[str]
    keys: Keys
    port: int

    @property
    def cookie(self) -> str:
        """The cookie's name. Browsers give the cookies of one port to every other port of the host."""
        return f"explore-{self.port}"


def policy(script_hashes: tuple[str, ...] = ()) -> str:
    """The Content-Security-Policy; `script_hashes` are SHA-256 (base64) of inline scripts that may run."""
    return _POLICY.format(scripts="".join(f" 'sha256-{one}'" for one in script_hashes))


@final
class Guard:
    """Answers who may not come in, lets the others through, and signs every answer with the headers that protect it."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, of any method; nothing but HTTP is spoken here."""
        if scope["type"] != "http":
            raise RuntimeError(f"the dashboard speaks HTTP only, not {scope['type']}")

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _sign(MutableHeaders(scope=message))
            await send(message)

        headers = _headers(scope)
        if [host.lower() for host in headers.get("host", [])] not in [[host] for host in self._door.hosts]:
            await _refuse(signed, "Not under this name", _WRONG_HOST)
        elif (location := self._location(scope)) is not None:
            await self._admit(signed, location)
        elif not self._may_pass(scope["method"], headers):
            await _refuse(signed, "The link is needed", _NO_TOKEN, _AGAIN)
        else:
            await self._app(scope, receive, signed)

    def _location(self, scope: Scope) -> str | None:
        """Where a request that brings the token goes on: the same address without it; None for any other request."""
        if scope["path"] != "/" or scope["method"] not in _READING:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(self._door.keys.is_token(value) for name, value in query if name == "token"):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        return f"/?{rest}" if rest else "/"

    async def _admit(self, send: Send, location: str) -> None:
        cookie = f"{self._door.cookie}={self._door.keys.token}; Path=/; HttpOnly; SameSite=Strict"
        await _answer(send, 303, b"", [(b"location", location.encode()), (b"set-cookie", cookie.encode())])

    def _may_pass(self, method: str, headers: dict[str, list[str]]) -> bool:
        """Reading needs the link's token, as cookie or header; all else that as header, or a cookie and the page's."""
        keys, given = self._door.keys, headers.get(TOKEN_HEADER, [])
        if any(keys.opens(token) for token in given):
            return True
        is_known = any(keys.opens(token) for token in self._cookies(headers))
        return is_known and (method in _READING or any(keys.allows_writing(token) for token in given))

    def _cookies(self, headers: dict[str, list[str]]) -> list[str]:
        pairs = [pair.strip().partition("=") for line in headers.get("cookie", []) for pair in line.split(";")]
        return [value for name, _, value in pairs if name == self._door.cookie]


_WRONG_HOST = (
    "This dashboard answers to the addresses of the machine that it runs on, with its own port. If the port is "
    "forwarded, forward it under the same number: ssh -L 8321:127.0.0.1:8321"
)
_NO_TOKEN = (
    "The dashboard opens with the link that the program printed when it started; the link ends with ?token=… and is "
    "new at each start. Copy it from the terminal: explore start and explore dashboard both print it."
)
# A browser that followed the link from another site does not send the new cookie before the next click.
_AGAIN = '<p><a href="">I have just followed the link</a></p>'


def _headers(scope: Scope) -> dict[str, list[str]]:
    """Every header, as often as it came."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _sign(headers: MutableHeaders) -> None:
    headers.setdefault("content-security-policy", policy())
    headers.setdefault("cache-control", "no-store")
    headers["x-content-type-options"] = "nosniff"
    headers["x-frame-options"] = "DENY"
    headers["referrer-policy"] = "no-referrer"
    headers["cross-origin-resource-policy"] = "same-origin"
    headers["cross-origin-opener-policy"] = "same-origin"


async def _refuse(send: Send, title: str, text: str, more: str = "") -> None:
    page = _PAGE.format(title=html.escape(title), text=html.escape(text), more=more)
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"connection", b"close")]
    await _answer(send, 403, page.encode(), headers)


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
