"""Routes of the dashboard: page, static files, state, single trials, event stream, downloads, and export."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from explorer.study.result import StudyResult
from explorer.views.formatting import one_line
from explorer.views.outputs import trials_csv, trials_json
from explorer.views.page.compare import compare
from explorer.views.page.detail import trial_detail
from explorer.views.server.events import EventStreams
from explorer.views.server.feed import Feed
from explorer.views.server.security import AccessRules, guarded, policy
from explorer.views.server.snapshots import LEAST_ZIPPED_BYTES, ZIP_LEVEL, InsightCache, Snapshots
from explorer.web.responses import MEDIA_TYPES, StaticFile, compact_json, json_response, static_files
from explorer.web.server import said_once

_EXPORT_BYTES = 1024
_EXPORT_S = 300.0
_MAX_CHARACTERS = 2000
_MAX_NAME = 64
_MAX_DIGITS = 10
# Its name stays when plotly is updated: a day is longer than a page stays open.
_PLOTLY_CACHE = "private, max-age=86400, immutable"
_IMPORT_MAP = re.compile(r'<script type="importmap"[^>]*>(.*?)</script>', re.DOTALL)


def make_app(
    feed: Feed,
    streams: EventStreams,
    access: AccessRules,
    on_fault: Callable[[str], None] = lambda sentence: None,
    snapshots: Snapshots | None = None,
) -> ASGIApp:
    """Return the application with its guards. After a failed response (500), `on_fault` is called with a sentence.

    `snapshots` are those of `feed`; None: new ones.
    """
    pages = _Pages(feed, streams, snapshots or Snapshots(feed), access.keys.to_write)
    report = said_once(on_fault)

    async def fault(request: Request, error: Exception) -> Response:
        report(one_line(f"the dashboard could not answer {request.url.path}: {type(error).__name__}: {error}"))
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
    return guarded(app, access)


@final
class _Pages:
    """One handler per route. What takes time runs in a thread, so that event streams are not delayed."""

    def __init__(self, feed: Feed, streams: EventStreams, snapshots: Snapshots, write_token: str) -> None:
        self._feed = feed
        self._streams = streams
        self._snapshots = snapshots
        self._write_token = write_token
        self._insights = InsightCache(feed)
        self._static: Mapping[str, StaticFile] = {}
        self._reading = asyncio.Lock()

    async def page(self, request: Request) -> Response:
        """Return the page; its import map is the only inline script that its policy allows."""
        text = await asyncio.to_thread(page_text, self._feed.state().result)
        headers = {"content-security-policy": policy(_import_map_hashes(text))}
        return await _zipped(request, text.encode("utf-8"), "text/html; charset=utf-8", headers)

    async def static(self, request: Request) -> Response:
        async with self._reading:  # a page requests all of them at once
            if not self._static:
                self._static = await asyncio.to_thread(_static_files)
        file = self._static.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        return file.response()

    async def state(self, request: Request) -> Response:
        """Return the snapshot and the live state."""
        zipped = await asyncio.to_thread(self._snapshots.zipped_state) if _takes_gzip(request) else None
        content = await asyncio.to_thread(self._snapshots.state) if zipped is None else zipped
        headers = {"vary": "accept-encoding"} | ({} if zipped is None else {"content-encoding": "gzip"})
        return Response(content, media_type="application/json", headers=headers)

    async def trial(self, request: Request) -> Response:
        number = _number(request, "number")
        return await _found(request, lambda: trial_detail(self._feed.front(self._feed.state()), number))

    async def compare(self, request: Request) -> Response:
        first, second = _number(request, "first"), _number(request, "second")
        return await _found(request, lambda: compare(self._feed.front(self._feed.state()), first, second))

    async def insights(self, request: Request) -> Response:
        return await _zipped(request, await asyncio.to_thread(self._insights.text), "application/json")

    async def write_token(self, request: Request) -> Response:
        """Return the token that the page sends in a header of writing requests; other sites cannot read it."""
        return json_response({"token": self._write_token})

    async def csv(self, request: Request) -> Response:
        result = self._feed.state().result
        text = await asyncio.to_thread(trials_csv, result)
        return await _zipped(request, text.encode("utf-8"), "text/csv; charset=utf-8", _download(result, "csv"))

    async def json(self, request: Request) -> Response:
        result = self._feed.state().result
        content = await asyncio.to_thread(lambda: compact_json(trials_json(result)))
        return await _zipped(request, content, "application/json", _download(result, "json"))

    async def events(self, request: Request) -> Response:
        """Stream events, from the one after the reader's last event."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")  # the stream has no end
        if self._streams.is_full:
            return Response("Too many pages follow this study: close some.", 503, media_type="text/plain")
        last_event_id = request.headers.get("last-event-id", request.query_params.get("since"))
        return StreamingResponse(self._streams.stream(last_event_id), media_type="text/event-stream")


@final
class Exporting:
    """The handler of `POST /api/exports` with `{"trial": n}`; one export at a time.

    The bundle replaces `exports/trial-<n>` in the study's folder. The response is `{"folder", "test_accuracy",
    "objections"}`, or `{"error"}` with a sentence.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._is_busy = False

    async def answer(self, request: Request) -> Response:
        """Export the trial that the request names."""
        number = await _trial(request)
        state = self._feed.state()
        if number is None or state.result.trial(number) is None:
            return _error(400, 'expected {"trial": n}, the number of a finished trial')
        if state.status == "running":
            return _error(409, "the study is measuring, which an export would disturb: export when it has ended")
        if self._is_busy:
            return _error(409, "another export is under way: try again in a moment")
        self._is_busy = True
        try:
            return await _exported(state.result, number)
        finally:
            self._is_busy = False


async def _trial(request: Request) -> int | None:
    """Return the number in the request's body; None for any other body."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _EXPORT_BYTES:
            return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    number = value.get("trial") if isinstance(value, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


async def _exported(result: StudyResult, number: int) -> Response:
    target = result.folder / "exports" / f"trial-{number}"
    options = ["--trial", str(number), "-o", str(target), "--force", "--json"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "explorer", "export", str(result.folder), *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _EXPORT_S)
    except TimeoutError:
        return _error(500, f"the export took longer than {_EXPORT_S:g} s and was ended")
    finally:
        if process.returncode is None:  # timeout, or the server ends: the export removes its draft
            process.terminate()
    if process.returncode != 0:
        text = one_line(errors.decode("utf-8", "replace"), _MAX_CHARACTERS).removeprefix("explore: ")
        return _error(422, text or f"the export ended with status {process.returncode}")
    facts: dict[str, Any] = json.loads(output)
    return JSONResponse({name: facts[name] for name in ("folder", "test_accuracy", "objections")})


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


def _static_files() -> Mapping[str, StaticFile]:
    """Return every file that the page may load, by name."""
    from plotly.offline import get_plotlyjs  # here, so that a study without readers starts without plotly

    plotly = StaticFile(get_plotlyjs().encode("utf-8"), MEDIA_TYPES["js"], _PLOTLY_CACHE)
    return {"plotly.min.js": plotly, **static_files(files("explorer.views").joinpath("page"))}


def page_text(result: StudyResult) -> str:
    """Return the HTML of the page."""
    from explorer.views.page.html import render_live  # here, so that a study without readers starts without plotly

    return render_live(result)


def _import_map_hashes(text: str) -> tuple[str, ...]:
    """Return the SHA-256 of the page's import map, which browsers accept inline only."""
    found = _IMPORT_MAP.search(text)
    if found is None:
        return ()
    return (base64.b64encode(hashlib.sha256(found[1].encode("utf-8")).digest()).decode("ascii"),)


def _number(request: Request, name: str) -> int:
    """Return the trial's number in the path. Raises HTTPException (404) for anything but digits."""
    text = str(request.path_params[name])
    if not (text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS):
        raise HTTPException(404)
    return int(text)


async def _found(request: Request, make: Callable[[], dict[str, Any] | None]) -> Response:
    """Return the result of `make` as JSON. Raises HTTPException (404) when it is None."""
    value = await asyncio.to_thread(make)
    if value is None:
        raise HTTPException(404)
    return await _zipped(request, await asyncio.to_thread(compact_json, value), "application/json")


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _download(result: StudyResult, suffix: str) -> dict[str, str]:
    """Return the header that names the downloaded file; the name of a study may hold any character."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", result.name)[:_MAX_NAME]
    return {"content-disposition": f'attachment; filename="{name}-trials.{suffix}"'}


async def _zipped(request: Request, content: bytes, media_type: str, headers: dict[str, str] | None = None) -> Response:
    """Return the content, compressed when it is large and the client accepts gzip."""
    headers = {"vary": "accept-encoding", **(headers or {})}
    if len(content) >= LEAST_ZIPPED_BYTES and _takes_gzip(request):
        content = await asyncio.to_thread(gzip.compress, content, ZIP_LEVEL)
        headers["content-encoding"] = "gzip"
    return Response(content, media_type=media_type, headers=headers)
