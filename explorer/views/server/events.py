"""Events: the study as a stream of server-sent events, which a reader can leave and join again without a gap.

    id: 17                     finished trials that the reader has with this event; every event carries it
    event: trials              data: {"first", "version", "trials": columns of the new ones, "reasons"}, and, when they
                               changed, "study", "objectives", "constraints", "metrics", "parameters",
                               "reference_point", "ideal_point", "classes" of the snapshot
    event: live                data: the live object (explorer.views.server.live_state)
    event: reset               data: {}: fetch the state anew, then go on

A reader says what it has by `Last-Event-ID`, as browsers do when they reconnect, or by `/api/events?since=17` the
first time. One who says nothing has just fetched the state: it gets the last trials once more, so that none falls
between, and knows them by their numbers. Nothing is kept for a reader: each event is made from what it has and what
there is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, final

from explorer.study.result import StudyResult
from explorer.views.page_columns import trial_reasons
from explorer.views.page_data import MAX_PLAIN, page_data, trial_rows
from explorer.views.server.bell import Bell
from explorer.views.server.feed import Feed, FeedState
from explorer.views.server.live_state import live_state

HEARTBEAT_S = 15.0
S_BETWEEN_PUSHES = 0.3
_RETRY_MS = 1000
_N_REPEATED = 100
_HEADER = (
    "study",
    "objectives",
    "constraints",
    "metrics",
    "parameters",
    "reference_point",
    "ideal_point",
    "classes",
)


@dataclass(frozen=True, slots=True)
class Position:
    """What a reader has: so many trials of this epoch, described by these metrics, and the live object of a state."""

    epoch: int
    n_trials: int
    metrics: tuple[str, ...]
    state: FeedState | None = None


def position_of(said: str | None, state: FeedState) -> Position | None:
    """The position of a reader who says that it has `said` trials; None when that cannot be one of this study's."""
    if said is None:
        n_trials = max(0, state.version - _N_REPEATED)
    elif said.isascii() and said.isdecimal() and len(said) < 10:
        n_trials = int(said)
    else:
        return None
    is_known = n_trials <= state.version
    return Position(state.epoch, n_trials, _metrics(state.result, n_trials)) if is_known else None


def news(feed: Feed, state: FeedState, position: Position | None) -> tuple[list[bytes], Position]:
    """The events that bring a reader from `position` to `state`, and where it is then.

    Nothing while a probe takes times, once the reader knows that it does.
    """
    if position is not None and position.state is not None and position.state.is_timing and state.is_timing:
        return [], position
    messages = []
    here = Position(state.epoch, state.version, _metrics(state.result, state.version))
    if position is None or position.epoch != state.epoch or state.version - position.n_trials > MAX_PLAIN:
        messages.append(_message("reset", {}, state.version))
    elif state.version > position.n_trials:
        messages.append(_message("trials", _trials(state.result, position, here), state.version))
    if position is None or position.state is not state:
        messages.append(_message("live", live_state(feed, state), state.version))
    return messages, replace(here, state=state)


def _trials(result: StudyResult, position: Position, here: Position) -> dict[str, Any]:
    """The new trials; what the snapshot says of all of them goes along when it may have changed."""
    first = position.n_trials
    values = {
        "first": first,
        "version": here.n_trials,
        "trials": trial_rows(result, first),
        "reasons": trial_reasons(result, first),
    }
    # The baseline settles bounds and reference point; a trial may be the first to know a metric.
    if first == 0 or position.metrics != here.metrics:
        snapshot = page_data(result, is_packed=True)
        values.update({name: snapshot[name] for name in _HEADER})
    return values


def _metrics(result: StudyResult, n_trials: int) -> tuple[str, ...]:
    """The metrics of the first `n_trials`."""
    return replace(result, trials=result.trials[:n_trials]).metric_names()


def _message(event: str, values: dict[str, Any], version: int) -> bytes:
    """One event. JSON in ASCII has no line ends, which would end the data."""
    data = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return f"id: {version}\nevent: {event}\ndata: {data}\n\n".encode("ascii")


@final
class EventStreams:
    """Every open stream of one feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._bells: set[Bell] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """End every stream, and each one that is opened from now on; from any thread."""
        self._is_stopped = True
        for bell in tuple(self._bells):
            bell.ring()

    async def stream(self, said: str | None) -> AsyncIterator[bytes]:
        """The events for a reader who says that it has `said` trials, until it goes or the server stops.

        A slow reader keeps nobody waiting: this coroutine waits for it alone, and then tells it what is new by then.
        """
        bell = Bell()
        self._bells.add(bell)
        self._feed.listen(bell.ring)
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode("ascii")
            position = position_of(said, self._feed.state())
            while not self._is_stopped:
                messages, position = news(self._feed, self._feed.state(), position)
                for message in messages:
                    yield message
                if messages:
                    await asyncio.sleep(S_BETWEEN_PUSHES)
                while not self._is_stopped and not await bell.heard(HEARTBEAT_S):
                    yield b": still here\n\n"
        finally:
            self._feed.leave(bell.ring)
            self._bells.discard(bell)
