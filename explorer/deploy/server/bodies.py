"""Bodies: read whole, within limits of size and time, and of what all requests together may hold."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from starlette.requests import Request

from explorer.deploy.server.connections import TRUNCATED
from explorer.deploy.server.metrics import Metrics
from explorer.deploy.server.refusals import ClientGone, Refused, shown

_SILENCE_S = 20.0
_MAX_HELD_BYTES = 256 * 2**20
# What zlib is told about the container: a gzip header, or a zlib one, which HTTP calls deflate.
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@final
class Bodies:
    """The bodies that one server holds."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """The request's body, decompressed, of at most `limit` bytes; counted as held until the block ends.

        Raises Refused: 413 when it is longer, 408 when it does not come, 415 for a compression that is not known,
        400 when it is cut short, 503 when the bodies of all requests are too much; and ClientGone.
        """
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in (*_WINDOWS, "identity"):
            raise Refused(415, f"the body is compressed with {shown(encoding)}: expected gzip, deflate or none")
        parts: list[bytes] = []
        n_held = 0
        try:
            async for part in _parts(request, limit):
                n_held += len(part)
                self._hold(len(part))
                parts.append(part)
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            if encoding in _WINDOWS:
                n_held += limit
                self._hold(limit)
                body = await asyncio.to_thread(_inflated, body, encoding, limit)
            yield body
        finally:
            self._held -= n_held

    def _hold(self, n_bytes: int) -> None:
        self._held += n_bytes
        if self._held > _MAX_HELD_BYTES:
            self._metrics.rejected("memory")
            raise Refused(503, "the server holds too many large requests: try again later", {"retry-after": "1"})


async def _parts(request: Request, limit: int) -> AsyncIterator[bytes]:
    too_long = Refused(413, f"the body is longer than {limit:,} bytes, which is all that one request may bring")
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_long
    n_read = 0
    while True:
        try:
            async with asyncio.timeout(_SILENCE_S):
                message = await request.receive()
        except TimeoutError as error:
            raise Refused(
                408, f"the body stopped after {n_read:,} bytes, and none came for {_SILENCE_S:g} s"
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        n_read += len(part)
        if n_read > limit:
            raise too_long
        yield part
        if not message.get("more_body", False):
            break
    if request.scope.get("state", {}).get(TRUNCATED):
        raise Refused(400, f"the body was cut short after {n_read:,} bytes")


def _inflated(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its compression."""
    stream = zlib.decompressobj(_WINDOWS[encoding])
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise Refused(400, f"the body does not decompress as {encoding}: {error}") from error
    if len(plain) > limit:
        raise Refused(
            413, f"the body decompresses to more than {limit:,} bytes, which is all that one request may bring"
        )
    if not stream.eof or stream.unused_data:
        what = "more follows its end" if stream.eof else "it is cut short"
        raise Refused(400, f"the body does not decompress as {encoding}: {what}")
    return plain
