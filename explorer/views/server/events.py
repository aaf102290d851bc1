"""Events: the study as a stream of server-sent events, which a reader can leave and join again without a gap.

    id: 17-8c1f27a90b3e        finished trials that the reader has with this event, and which; every event carries it
    event: trials              data: {"first", "version", "trials": columns of the new ones, "reasons"}, and, when they
                               changed, "study", "objectives", "constraints", "metrics", "parameters",
                               "reference_point", "ideal_point", "confirmation", "classes" of the snapshot
    event: live                data: the live object (explorer.views.server.live_state)
    event: reset               data: {}: fetch the state anew, then go on

A reader says what it has by `Last-Event-ID`, as browsers do when they reconnect, or by `/api/events?since=17` the
first time. One whose trials are not this study's, because it was begun anew while nobody served it, is told to reset.
One who says nothing has just fetched the state: it gets the last trials once more, so that none falls between, and
knows them by their numbers. Nothing is kept for a reader: each event is made from what it has and what there is.
"""

from __future__ import annotations

import asyncio
import hashlib
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

MAX_STREAMS = 24
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
    "confirmation",
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
    """The position of a reader who says `said`: how many trials it has, and which where it knows.

    None when those cannot be this study's.
    """
    if said is None:
        n_trials = max(0, state.version - _N_REPEATED)
        return Position(state.epoch, n_trials, _metrics(state.result, n_trials))
    number, separator, mark = said.partition("-")
    if not (number.isascii() and number.isdecimal() and len(number) < 10) or int(number) > state.version:
        return None
    if separator and mark != _mark(state.result, int(number)):
        return None
    return Position(state.epoch, int(number), _metrics(state.result, int(number)))


def _mark(result: StudyResult, n_trials: int) -> str:
    """What tells the first `n_trials` of this study from as many of another, or of the same with other limits, or
    before it was confirmed.
    """
    last = result.trials[n_trials - 1] if n_trials else None
    known = result.confirmation
    confirmed = known and (known.n_trials, known.last_finished, len(known.rounds), known.seconds, known.ended)
    facts = (result.space, last and (last.number, last.started, last.finished), confirmed)
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def news(feed: Feed, state: FeedState, position: Position | None) -> tuple[list[bytes], Position]:
    """The events that bring a reader from `position` to `state`, and where it is then.

    Nothing while a probe takes times, once the reader knows that it does.
    """
    if position is not None and position.state is not None:
        is_same_timing = state.timing is not None and position.state.timing == state.timing
        if position.state is state or is_same_timing:
            return [], position
    is_continued = position is not None and position.epoch == state.epoch
    if position is not None and is_continued and position.n_trials == state.version:
        here = replace(position, state=state)
    else:
        here = Position(state.epoch, state.version, _metrics(state.result, state.version), state)
    told: list[tuple[str, dict[str, Any]]] = []
    if position is None or not is_continued or state.version - position.n_trials > MAX_PLAIN:
        told.append(("reset", {}))
    elif state.version > position.n_trials:
        told.append(("trials", _trials(state.result, position, here)))
    told.append(("live", live_state(feed, state)))
    name = f"{state.version}-{_mark(state.result, state.version)}"
    return [_message(event, values, name) for event, values in told], here


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


def _message(event: str, values: dict[str, Any], name: str) -> bytes:
    """One event. JSON in ASCII has no line ends, which would end the data."""
    data = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return f"id: {name}\nevent: {event}\ndata: {data}\n\n".encode("ascii")


@final
class EventStreams:
    """Every open stream of one feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._bells: set[Bell] = set()
        self._is_stopped = False

    @property
    def is_full(self) -> bool:
        """Whether there are as many streams as there may be."""
        return len(self._bells) >= MAX_STREAMS

    def stop(self) -> None:
        """End every stream, and each one that is opened from now on; from any thread."""
        self._is_stopped = True
        for bell in tuple(self._bells):
            bell.ring()

    async def stream(self, said: str | None) -> AsyncIterator[bytes]:
        """The events for a reader who says that it has `said` trials, until it goes or the server stops.

        A slow reader keeps nobody waiting: this coroutine waits for it alone, and then tells it what is new by then.
        When the server stops, it still says how the study stands.
        """
        bell = Bell()
        self._bells.add(bell)
        self._feed.listen(bell.ring)
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode("ascii")
            position = position_of(said, self._feed.state())
            is_last = False
            while not is_last:
                is_last = self._is_stopped
                messages, position = news(self._feed, self._feed.state(), position)
                for message in messages:
                    yield message
                if messages and not is_last:
                    await asyncio.sleep(S_BETWEEN_PUSHES)
                while not self._is_stopped and not await bell.heard(HEARTBEAT_S):
                    yield b": still here\n\n"
        finally:
            self._feed.leave(bell.ring)
            self._bells.discard(bell)
