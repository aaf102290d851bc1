"""The button that exports: `explore export` of one trial, in a process of its own, while nothing is measured."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from explorer.study.result import StudyResult
from explorer.views.server.feed import Feed
from explorer.views.wording import one_line

_MOST_BYTES = 1024
_DEADLINE_S = 300.0
_MOST_SAID = 2000


@final
class Exporting:
    """Answers `POST /api/exports` with `{"trial": n}`; one export at a time.

    The bundle goes to `exports/trial-<n>` in the study's folder, in the place of an earlier one. The answer is
    `{"folder", "test_accuracy"}`, or `{"error"}` with a sentence.
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
    """The number in the request's body; None for anything else."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
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
        said, complaint = await asyncio.wait_for(process.communicate(), _DEADLINE_S)
    except TimeoutError:
        return _error(500, f"the export took longer than {_DEADLINE_S:g} s and was ended")
    finally:
        if process.returncode is None:  # too late, or the server ends: the export removes what it has begun
            process.terminate()
    if process.returncode != 0:
        text = one_line(complaint.decode("utf-8", "replace"), _MOST_SAID).removeprefix("explore: ")
        return _error(422, text or f"the export ended with status {process.returncode}")
    facts: dict[str, Any] = json.loads(said)
    return JSONResponse({name: facts[name] for name in ("folder", "test_accuracy", "objections")})


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
