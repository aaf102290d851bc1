"""Requests to the model server: their limits, their bodies, the file in them, and what they are refused with."""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, final

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from explorer.deploy.serve.counters import Metrics
from explorer.tasks.task import TensorSpec

TRUNCATED: Final = "is_truncated"
"""Key in a request's state, set when its client ended the transmission before the body was complete."""

MAX_EXAMPLES = 256
_MAX_TENSOR_BYTES = 4 * 2**20
_HEADER_BYTES = 64 * 2**10
_FILE_BYTES = 16 * 2**20
_SHOWN_CHARACTERS = 60
_SILENCE_S = 20.0
_MAX_HELD_BYTES = 256 * 2**20
_MAX_FIELDS = 16
# zlib's window bits for a gzip header, and for a zlib header, which HTTP calls deflate.
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@final
class Refused(Exception):
    """A request that is refused with `status` and the body `{"error": sentence}`."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


@final
class ClientGone(Exception):
    """The client has closed the connection, so there is nothing to answer."""


def json_text(value: Any) -> str:
    """Return a client's value as JSON, shortened to 60 characters."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request: examples of a tensor, bytes of the body that holds it, bytes of an uploaded file."""

    examples: int
    tensor_body_bytes: int
    file_bytes: int = _FILE_BYTES

    @classmethod
    def of_input(cls, spec: TensorSpec) -> Limits:
        """Return the limits for such inputs: 4 MiB per tensor, at least one example."""
        n_values, item_bytes = math.prod(spec.shape), spec.item_bytes
        examples = max(1, min(MAX_EXAMPLES, _MAX_TENSOR_BYTES // (n_values * item_bytes)))
        # In JSON "255", a comma and indentation; more for wider types.
        return cls(examples, examples * n_values * 8 * item_bytes + _HEADER_BYTES)


@final
class Bodies:
    """The request bodies that one server holds in memory."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """Yield the request's body, decompressed, of at most `limit` bytes; it counts as held until the block ends.

        Raises Refused: 413 for a longer body, 408 for one that does not arrive, 415 for an unknown compression, 400 for
        one that is cut short, 503 when the bodies of all requests exceed the memory limit. Raises ClientGone.
        """
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in (*_WINDOWS, "identity"):
            raise Refused(415, f"the body is compressed with {json_text(encoding)}: expected gzip, deflate or none")
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
            sentence = f"the body stopped after {n_read:,} bytes, and none came for {_SILENCE_S:g} s"
            raise Refused(408, sentence) from error
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
    """Return the decompressed body. Raises Refused."""
    stream = zlib.decompressobj(_WINDOWS[encoding])
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise Refused(400, f"the body does not decompress as {encoding}: {error}") from error
    if len(plain) > limit:
        sentence = f"the body decompresses to more than {limit:,} bytes, which is all that one request may bring"
        raise Refused(413, sentence)
    if not stream.eof or stream.unused_data:
        what = "more follows its end" if stream.eof else "it is cut short"
        raise Refused(400, f"the body does not decompress as {encoding}: {what}")
    return plain


async def uploaded_file(body: bytes, headers: Headers, noun: str) -> bytes:
    """Return the file in a body: the body itself, or the file of a multipart form. Raises Refused (400)."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        body = await _file_of_form(body, headers)
    if not body:
        raise Refused(400, f"no {noun} came: send a file as the body, or in a field of a multipart form")
    return body


async def _file_of_form(body: bytes, headers: Headers) -> bytes:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(headers, stream(), max_files=1, max_fields=_MAX_FIELDS).parse()
    except MultiPartException as error:
        raise Refused(400, f"the multipart form does not read: {error.message}") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise Refused(400, f"expected one file in the multipart form, got {len(files) or 'none'}")
        return await files[0].read()
    finally:
        await form.close()
