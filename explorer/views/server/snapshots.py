"""Snapshots: the study's state as JSON, built in the server's threads and kept until the study has moved on."""

from __future__ import annotations

import json
import threading
import zlib
from typing import final

from explorer.views.page_data import page_data
from explorer.views.server.feed import Feed
from explorer.views.server.live_state import live_state

_LEAST_ZIPPED_BYTES = 64 * 2**10
_ZIP_LEVEL = 1  # the reader is on this machine: what costs time is packing
_GZIP = 16 + zlib.MAX_WBITS


@final
class Snapshots:
    """The answers to `/api/state`: the snapshot of explorer.views.page_data with one key more, "live"."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._made_of: object = None
        self._text = b""
        self._zipped: _Zipped | None = None

    def state(self) -> bytes:
        """The state as it is now. Two who ask at once share the work."""
        with self._lock:
            end = self._end()
            return self._text + end

    def zipped_state(self) -> bytes | None:
        """The same as gzip has it, of which only the end is packed anew each time; None for a short one."""
        with self._lock:
            end = self._end()
            if len(self._text) < _LEAST_ZIPPED_BYTES:
                return None
            if self._zipped is None:
                self._zipped = _Zipped(self._text)
            return self._zipped.with_end(end)

    def _end(self) -> bytes:
        """What comes after `_text`, which is brought up to date."""
        state = self._feed.state()
        if self._made_of is not state.result:
            self._text, self._zipped = _json(page_data(state.result))[:-1], None
            self._made_of = state.result
        return b',"live":' + _json(live_state(self._feed, state)) + b"}"


@final
class _Zipped:
    """The beginning of a text, packed once for all ends that it may have."""

    def __init__(self, beginning: bytes) -> None:
        self._packer = zlib.compressobj(_ZIP_LEVEL, wbits=_GZIP)
        self._packed = self._packer.compress(beginning) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def with_end(self, end: bytes) -> bytes:
        packer = self._packer.copy()
        return self._packed + packer.compress(end) + packer.flush()


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
