"""The guard: who is answered, what every answer forbids the browser, and what is counted. Pure ASGI, around the rest.

Another site cannot use the server through somebody's browser, whatever name it gives this machine: a Host that is not
ours is refused, and so is an Origin.
"""

from __future__ import annotations

import json
import time
from typing import Final, final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.deploy.server.metrics import CLIENT_GONE, Metrics

_OTHER: Final = "other"
_FIRST_REFUSAL: Final = 400
_CLOSE = (b"connection", b"close")
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SIGNATURE = [
    (b"content-security-policy", _POLICY),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_WRONG_HOST = (
    "this server answers to the addresses of the machine that it runs on, with its own port: if the port is forwarded, "
    "forward it under the same number"
)
_WRONG_ORIGIN = "this server answers to its own page and to programs, not to other sites"


@final
class Stage:
    """Where the server's life stands. Once it `is_closing`, every answer ends its connection."""

    def __init__(self) -> None:
        self.is_closing = False
        self.n_open = 0


@final
class Guard:
    """Refuses who may not come in and lets the others through.

    `hosts` are what the Host header may say: `host:port`, lower case.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], metrics: Metrics, stage: Stage) -> None:
        self._app = app
        self._hosts = frozenset(host.encode("latin-1") for host in hosts)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._metrics = metrics
        self._stage = stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, of any method; nothing but HTTP is spoken here."""
        if scope["type"] != "http":
            raise RuntimeError(f"the server speaks HTTP only, not {scope['type']}")
        began = time.perf_counter()
        status = CLIENT_GONE

        async def signed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ends = self._stage.is_closing or (status >= _FIRST_REFUSAL and _is_body_kept_back(scope))
                message["headers"] = [*message.get("headers", []), *_SIGNATURE, *([_CLOSE] if ends else [])]
            await send(message)

        self._stage.n_open += 1
        try:
            if (objection := self._objection(scope)) is not None:
                await _refuse(signed, objection)
            else:
                await self._app(scope, receive, signed)
        finally:
            self._stage.n_open -= 1
            route = getattr(scope.get("route"), "path", _OTHER)
            self._metrics.answered(route, status, time.perf_counter() - began)

    def _objection(self, scope: Scope) -> str | None:
        hosts = [value.lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return _WRONG_HOST
        origins = [value.lower() for name, value in scope["headers"] if name == b"origin"]
        return None if all(origin in self._origins for origin in origins) else _WRONG_ORIGIN


def _is_body_kept_back(scope: Scope) -> bool:
    """Whether the client waits with its body for a 100, and after a refusal will not send it."""
    return any(name == b"expect" for name, _ in scope["headers"])


async def _refuse(send: Send, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
