"""Snapshots: the study's state as JSON, built in the server's threads and kept until the study has moved on."""

from __future__ import annotations

import json
import threading
from typing import final

from explorer.views.page_data import page_data
from explorer.views.server.feed import Feed
from explorer.views.server.live_state import live_state


@final
class Snapshots:
    """The answers to `/api/state`: the snapshot of explorer.views.page_data with one key more, "live"."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._made_of: object = None
        self._text = b""

    def state(self) -> bytes:
        """The state as it is now. Two who ask at once share the work."""
        with self._lock:
            state = self._feed.state()
            if self._made_of is not state.result:
                self._text = _json(page_data(state.result))
                self._made_of = state.result
            return self._text[:-1] + b',"live":' + _json(live_state(self._feed, state)) + b"}"


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
