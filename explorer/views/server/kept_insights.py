"""KeptInsights: the insights as JSON, made when a page asks, and anew when the study has grown by a twentieth."""

from __future__ import annotations

import json
import threading
from typing import final

from explorer.views.server.feed import Feed, FeedState

_GROWTH = 0.05


@final
class KeptInsights:
    """The answers to `/api/insights`: those of explorer.views.insights, of a moment that is not long ago.

    A study of thousands of trials is not looked at anew for each of them, and never in the thread that runs it.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._made_of: FeedState | None = None
        self._text = b""

    def text(self) -> bytes:
        """The insights as JSON. Two who ask at once share the work."""
        from explorer.views.insights import insights  # here, so that a study without readers starts without it

        with self._lock:
            state = self._feed.state()
            if self._made_of is None or _has_moved_on(self._made_of, state):
                self._text = json.dumps(insights(state.result), allow_nan=False, separators=(",", ":")).encode("ascii")
                self._made_of = state
            return self._text


def _has_moved_on(old: FeedState, new: FeedState) -> bool:
    """Whether there are a twentieth more trials, other ones, or the last ones."""
    if new.result is old.result:
        return False
    return new.epoch != old.epoch or new.status != "running" or new.version >= (1 + _GROWTH) * old.version
