"""The dashboard's routes: the page, its files, the study's state, trials by number, the stream, and the export."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from explorer.study.result import StudyResult
from explorer.views.compare import compare
from explorer.views.csv_text import trials_csv
from explorer.views.detail import trial_detail
from explorer.views.server.events import EventStreams
from explorer.views.server.exporting import Exporting
from explorer.views.server.feed import Feed
from explorer.views.server.kept_insights import KeptInsights
from explorer.views.server.security import Door, Guard, policy
from explorer.views.server.snapshots import Snapshots
from explorer.views.server.static_files import StaticFile, static_files
from explorer.views.trials_json import trials_json
from explorer.views.wording import one_line

_LEAST_ZIPPED_BYTES = 64 * 2**10
_ZIP_LEVEL = 1  # the reader is on this machine: what costs time is packing
_MAX_NAME = 64
_MAX_DIGITS = 10
_MAX_FAULTS = 100
_IMPORT_MAP = re.compile(r'<script type="importmap"[^>]*>(.*?)</script>', re.DOTALL)


def make_app(
    feed: Feed,
    streams: EventStreams,
    door: Door,
    on_fault: Callable[[str], None] = lambda sentence: None,
    snapshots: Snapshots | None = None,
) -> ASGIApp:
    """The application behind its guard. `on_fault` hears of an answer that failed; the reader gets a 500.

    `snapshots` are those of `feed`, where somebody else prepares them.
    """
    pages = _Pages(feed, streams, snapshots or Snapshots(feed), door.keys.to_write)
    said: set[str] = set()

    async def fault(request: Request, error: Exception) -> Response:
        sentence = one_line(f"the dashboard could not answer {request.url.path}: {type(error).__name__}: {error}")
        if sentence not in said and len(said) < _MAX_FAULTS:  # a page asks again and again
            said.add(sentence)
            on_fault(sentence)
        return Response("The dashboard could not answer; the terminal says why.", 500, media_type="text/plain")

    app = Starlette(
        routes=[
            Route("/", pages.page),
            Route("/static/{name}", pages.static),
            Route("/api/state", pages.state),
            Route("/api/trials.csv", pages.csv),
            Route("/api/trials.json", pages.json),
            Route("/api/trials/{number}", pages.trial),
            Route("/api/compare/{first}/{second}", pages.compare),
            Route("/api/insights", pages.insights),
            Route("/api/events", pages.events),
            Route("/api/write-token", pages.write_token),
            Route("/api/exports", Exporting(feed).answer, methods=["POST"]),
        ],
        exception_handlers={Exception: fault},
    )
    app.router.redirect_slashes = False
    return Guard(app, door)


@final
class _Pages:
    """What each route answers. Whatever takes time is made in a thread, so that the streams go on."""

    def __init__(self, feed: Feed, streams: EventStreams, snapshots: Snapshots, write_token: str) -> None:
        self._feed = feed
        self._streams = streams
        self._snapshots = snapshots
        self._write_token = write_token
        self._insights = KeptInsights(feed)
        self._static: Mapping[str, StaticFile] = {}
        self._reading = asyncio.Lock()

    async def page(self, request: Request) -> Response:
        """The page itself. Its import map is the one inline script that may run."""
        text = await asyncio.to_thread(page_text, self._feed.state().result)
        headers = {"content-security-policy": policy(_import_map_hashes(text))}
        return await _zipped(request, text.encode("utf-8"), "text/html; charset=utf-8", headers)

    async def static(self, request: Request) -> Response:
        """One of the page's files."""
        async with self._reading:  # a page asks for all of them at once
            if not self._static:
                self._static = await asyncio.to_thread(static_files)
        file = self._static.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        return Response(file.content, media_type=file.media_type, headers={"cache-control": file.cache})

    async def state(self, request: Request) -> Response:
        """The snapshot, and what happens now."""
        zipped = await asyncio.to_thread(self._snapshots.zipped_state) if _takes_gzip(request) else None
        content = await asyncio.to_thread(self._snapshots.state) if zipped is None else zipped
        headers = {"vary": "accept-encoding"} | ({} if zipped is None else {"content-encoding": "gzip"})
        return Response(content, media_type="application/json", headers=headers)

    async def trial(self, request: Request) -> Response:
        """One trial whole."""
        number, result = _number(request, "number"), self._feed.state().result
        return await _found(request, lambda: trial_detail(result, number))

    async def compare(self, request: Request) -> Response:
        """Two trials side by side."""
        first, second = _number(request, "first"), _number(request, "second")
        result = self._feed.state().result
        return await _found(request, lambda: compare(result, first, second))

    async def insights(self, request: Request) -> Response:
        """What all trials say together."""
        return await _zipped(request, await asyncio.to_thread(self._insights.text), "application/json")

    async def write_token(self, request: Request) -> Response:
        """What the page sends in a header when it writes; another site may have this asked for, and cannot read it."""
        return Response(_json({"token": self._write_token}), media_type="application/json")

    async def csv(self, request: Request) -> Response:
        """Every trial, as `trials.csv` has them."""
        result = self._feed.state().result
        text = await asyncio.to_thread(trials_csv, result)
        return await _zipped(request, text.encode("utf-8"), "text/csv; charset=utf-8", _download(result, "csv"))

    async def json(self, request: Request) -> Response:
        """Every trial, as JSON."""
        result = self._feed.state().result
        content = await asyncio.to_thread(lambda: _json(trials_json(result)))
        return await _zipped(request, content, "application/json", _download(result, "json"))

    async def events(self, request: Request) -> Response:
        """The stream; it goes on from the event that the reader had last."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")  # who asks for no content would wait for its end
        if self._streams.is_full:
            return Response("Too many pages follow this study: close some.", 503, media_type="text/plain")
        said = request.headers.get("last-event-id", request.query_params.get("since"))
        return StreamingResponse(self._streams.stream(said), media_type="text/event-stream")


def page_text(result: StudyResult) -> str:
    """The page that the server sends."""
    from explorer.views.page import render_live  # here, so that a study without readers starts without plotly

    return render_live(result)


def _import_map_hashes(text: str) -> tuple[str, ...]:
    """The SHA-256 of the page's import map, which browsers take inline only."""
    found = _IMPORT_MAP.search(text)
    if found is None:
        return ()
    return (base64.b64encode(hashlib.sha256(found[1].encode("utf-8")).digest()).decode("ascii"),)


def _number(request: Request, name: str) -> int:
    """A trial's number in the address: digits, and nothing else."""
    text = str(request.path_params[name])
    if not (text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS):
        raise HTTPException(404)
    return int(text)


async def _found(request: Request, make: Callable[[], dict[str, Any] | None]) -> Response:
    """What `make` makes, as JSON; 404 when it finds no such trial."""

    def content() -> bytes | None:
        value = make()
        return None if value is None else _json(value)

    made = await asyncio.to_thread(content)
    if made is None:
        raise HTTPException(404)
    return await _zipped(request, made, "application/json")


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _download(result: StudyResult, suffix: str) -> dict[str, str]:
    """The name of a file to save; a database from elsewhere may call its study anything."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", result.name)[:_MAX_NAME]
    return {"content-disposition": f'attachment; filename="{name}-trials.{suffix}"'}


async def _zipped(request: Request, content: bytes, media_type: str, headers: dict[str, str] | None = None) -> Response:
    """The content, compressed when there is much of it and the reader takes it."""
    headers = {"vary": "accept-encoding", **(headers or {})}
    if len(content) >= _LEAST_ZIPPED_BYTES and _takes_gzip(request):
        content = await asyncio.to_thread(gzip.compress, content, _ZIP_LEVEL)
        headers["content-encoding"] = "gzip"
    return Response(content, media_type=media_type, headers=headers)
