"""JSON snapshots of a study for the page, built in the server's threads and cached until the study changes.

The live object: {"progress": {"stage", "done", "total": number | null, "note", "seconds_left": number | null: of this
stage} | null, "running": {"trial", "variant": text} | null, "confirming": like "progress" | null: finalists are being
measured again, "status": "running" | "finished" | "interrupted", "n_done", "seconds_left": number | null, "version":
finished trials}
"""

from __future__ import annotations

import math
import threading
import zlib
from typing import Any, final

from explorer.records import Progress
from explorer.views.formatting import Glyphs, one_line, variant_text, varying_parameters
from explorer.views.page.data import page_data
from explorer.views.server.feed import Feed, FeedState
from explorer.web.responses import compact_json


def live_state(feed: Feed, state: FeedState) -> dict[str, Any]:
    """Return the live object of `state`."""
    left = feed.seconds_left()
    return {
        "progress": None if state.progress is None else _progress(state.progress, state.stage_seconds_left),
        "running": _running(state),
        "confirming": None if state.confirming is None else _progress(state.confirming, None),
        "status": state.status,
        "n_done": state.version,
        "seconds_left": None if left is None else round(left, 1),
        "version": state.version,
    }


def _progress(progress: Progress, seconds_left: float | None) -> dict[str, Any]:
    return {
        "stage": one_line(progress.stage),
        "done": _finite(progress.done) or 0.0,
        "total": _finite(progress.total),
        "note": one_line(progress.note),
        "seconds_left": None if seconds_left is None else round(seconds_left, 1),
    }


def _running(state: FeedState) -> dict[str, Any] | None:
    if state.running is None:
        return None
    number, variant = state.running
    text = variant_text(variant, varying_parameters(state.result.space), Glyphs())
    return {"trial": number, "variant": text}


def _finite(number: float | None) -> float | None:
    """Return the number, or None where JSON has no value for it."""
    return None if number is None or not math.isfinite(number) else number


LEAST_ZIPPED_BYTES = 64 * 2**10
ZIP_LEVEL = 1  # the client is on this machine: compression takes longer than transmission
_GZIP = 16 + zlib.MAX_WBITS


@final
class Snapshots:
    """Responses to `/api/state`: the snapshot of explorer.views.page.data with one more key, "live"."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._made_of: object = None
        self._text = b""
        self._zipped: _Zipped | None = None

    def state(self) -> bytes:
        """Return the current state as JSON. Concurrent calls share the work."""
        with self._lock:
            end = self._end()
            return self._text + end

    def zipped_state(self) -> bytes | None:
        """Return the same as gzip, of which only the end is compressed each time; None for a short state."""
        with self._lock:
            end = self._end()
            if len(self._text) < LEAST_ZIPPED_BYTES:
                return None
            if self._zipped is None:
                self._zipped = _Zipped(self._text)
            return self._zipped.with_end(end)

    def _end(self) -> bytes:
        """Bring `_text` up to date, and return what follows it."""
        state = self._feed.state()
        front = self._feed.front(state)
        if self._made_of is not front:
            self._text, self._zipped = compact_json(page_data(front))[:-1], None
            self._made_of = front
        return b',"live":' + compact_json(live_state(self._feed, state)) + b"}"


@final
class _Zipped:
    """The beginning of a text, compressed once for any end."""

    def __init__(self, beginning: bytes) -> None:
        self._packer = zlib.compressobj(ZIP_LEVEL, wbits=_GZIP)
        self._packed = self._packer.compress(beginning) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def with_end(self, end: bytes) -> bytes:
        packer = self._packer.copy()
        return self._packed + packer.compress(end) + packer.flush()


_GROWTH = 0.05


@final
class InsightCache:
    """Responses to `/api/insights`, recomputed when the study has grown by a twentieth."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._made_of: FeedState | None = None
        self._text = b""

    def text(self) -> bytes:
        """Return the insights as JSON. Concurrent calls share the work."""
        from explorer.views.page.insights import insights  # here, so that a study without readers starts without it

        with self._lock:
            state = self._feed.state()
            if self._made_of is None or _has_moved_on(self._made_of, state):
                self._text = compact_json(insights(state.result))
                self._made_of = state
            return self._text


def _has_moved_on(old: FeedState, new: FeedState) -> bool:
    """Return whether the trials are a twentieth more, others, or final."""
    if new.result is old.result:
        return False
    if new.status != "running" or new.version >= (1 + _GROWTH) * old.version or new.version < old.version:
        return True
    return new.digest(old.version) != old.digest(old.version)
