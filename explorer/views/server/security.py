"""Access control of the dashboard: tokens and cookies, around the application.

There is one token per start, which the link carries and the browser stores as a cookie, and one for writing. A page
that is open when the program is started again continues with its cookie: hashes of the last tokens of this study and
port are stored in the user's cache for a day, readable by the user alone.

Another site cannot read the dashboard: a foreign Host header is refused (`explorer.web.responses`), and so is a request
without the token of the printed link. It cannot change anything either: the cookie, which browsers send by themselves,
permits reading only. Any other request needs a token in a header: that of the link, or the one that the page has
fetched, which no other site can read.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer.system.hashing import cache_root, content_key
from explorer.web.responses import HostGuard

TOKEN_HEADER = "x-explore-token"
_READING = ("GET", "HEAD")
_TOKEN_BYTES = 24
_N_HASHES = 4
_MAX_AGE_S = 24 * 3600.0

# plotly.js needs inline styles for its SVG, and data: and blob: images for "Download plot as a PNG".
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
class Keys:
    """The token of this start, the SHA-256 of earlier ones, and the token for writing; compared in constant time."""

    token: str
    earlier: tuple[str, ...] = ()
    to_write: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES))

    def is_token(self, text: str) -> bool:
        """Return whether `text` is the token of this start."""
        return secrets.compare_digest(_hashed(text), _hashed(self.token))

    def opens(self, text: str) -> bool:
        """Return whether `text` is the token of this start or of a recent one."""
        return any(secrets.compare_digest(_hashed(text), known) for known in (_hashed(self.token), *self.earlier))

    def allows_writing(self, text: str) -> bool:
        """Return whether `text` is the token for writing."""
        return secrets.compare_digest(_hashed(text), _hashed(self.to_write))


def new_keys(folder: Path, port: int) -> Keys:
    """Return a new token for the study in `folder` at that port, with the hashes of earlier ones; store its hash."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    path = cache_root() / "dashboard" / f"{content_key([str(folder.resolve()), port])}.json"
    now = time.time()
    earlier = [(known, since) for known, since in _load_hashes(path) if 0 <= now - since < _MAX_AGE_S]
    _save_hashes(path, [*earlier[-_N_HASHES + 1 :], (_hashed(token), now)])
    return Keys(token, tuple(known for known, _ in earlier))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _load_hashes(path: Path) -> list[tuple[str, float]]:
    """Return the stored hashes and times; empty when they cannot be read, so that open pages need the new link."""
    try:
        hashes = json.loads(path.read_text(encoding="ascii"))
        return [(str(known), float(since)) for known, since in hashes]
    except (OSError, ValueError, TypeError):
        return []


def _save_hashes(path: Path, hashes: list[tuple[str, float]]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(hashes, file)
        os.replace(draft, path)
    except OSError:
        # A cache that cannot be written costs only this: open pages ask for the new link after a restart.
        with suppress(OSError):
            draft.unlink()


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Access rules: accepted Host headers (`host:port`, lower case), tokens, and the port that names the cookie."""

    hosts: frozenset[str]
    keys: Keys
    port: int

    @property
    def cookie(self) -> str:
        """The cookie's name. Browsers send the cookies of one port to every other port of the host."""
        return f"explore-{self.port}"


def policy(script_hashes: tuple[str, ...] = ()) -> str:
    """Return the Content-Security-Policy; `script_hashes` are SHA-256 (base64) of inline scripts that may run."""
    return _POLICY.format(scripts="".join(f" 'sha256-{one}'" for one in script_hashes))


def guarded(app: ASGIApp, access: AccessRules) -> ASGIApp:
    """Return the application behind host guard and token guard."""
    return HostGuard(TokenGuard(app, access), access.hosts, policy(), refusal("Not under this name", _WRONG_HOST))


@final
class TokenGuard:
    """ASGI middleware: turn the link's token into a cookie, and require cookie or token of every other request."""

    def __init__(self, app: ASGIApp, access: AccessRules) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, of any method."""
        headers = Headers(scope=scope)
        answer = self._app
        if (location := self._location(scope)) is not None:
            answer = self._admission(location)
        elif not self._may_pass(scope["method"], headers):
            answer = refusal("The link is needed", _NO_TOKEN, _RETRY)
        await answer(scope, receive, send)

    def _location(self, scope: Scope) -> str | None:
        """Return the redirect target of a request with the token: its path without it; None for other requests."""
        if scope["path"] != "/" or scope["method"] not in _READING:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(self._access.keys.is_token(value) for name, value in query if name == "token"):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        return f"/?{rest}" if rest else "/"

    def _admission(self, location: str) -> Response:
        cookie = f"{self._access.cookie}={self._access.keys.token}; Path=/; HttpOnly; SameSite=Strict"
        return Response(status_code=303, headers={"location": location, "set-cookie": cookie})

    def _may_pass(self, method: str, headers: Headers) -> bool:
        """Return whether the request may be answered.

        Reading needs the link's token, as cookie or header. Anything else needs it as header, or the cookie and the
        token for writing.
        """
        keys, given = self._access.keys, headers.getlist(TOKEN_HEADER)
        if any(keys.opens(token) for token in given):
            return True
        is_known = any(keys.opens(token) for token in self._cookies(headers))
        return is_known and (method in _READING or any(keys.allows_writing(token) for token in given))

    def _cookies(self, headers: Headers) -> list[str]:
        pairs = [pair.strip().partition("=") for line in headers.getlist("cookie") for pair in line.split(";")]
        return [value for name, _, value in pairs if name == self._access.cookie]


_WRONG_HOST = (
    "This dashboard answers to the addresses of the machine that it runs on, with its own port. If the port is "
    "forwarded, forward it under the same number: ssh -L 8321:127.0.0.1:8321"
)
_NO_TOKEN = (
    "The dashboard opens with the link that the program printed when it started; the link ends with ?token=… and is "
    "new at each start. Copy it from the terminal: explore start and explore dashboard both print it."
)
# A browser that followed the link from another site does not send the new cookie before the next click.
_RETRY = '<p><a href="">I have just followed the link</a></p>'


def refusal(title: str, text: str, more: str = "") -> Response:
    """Return a page with status 403 and the reason; `more` is HTML."""
    page = _PAGE.format(title=html.escape(title), text=html.escape(text), more=more)
    return Response(page, 403, {"connection": "close"}, media_type="text/html")
