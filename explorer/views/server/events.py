"""Server-sent events of a study, which a client can leave and resume without a gap.

    id: 17-8c1f27a90b3e        of every event: the client has the first 17 trials of the study with this digest
    event: trials              data: {"first", "version", "trials": columns of the new ones, "reasons"}, and, when they
                               changed, "study", "objectives", "constraints", "metrics", "parameters",
                               "reference_point", "ideal_point", "confirmation" of the snapshot
    event: live                data: the live object (explorer.views.server.snapshots)
    event: reset               data: {}: fetch the state anew, then go on

A client sends its position as `Last-Event-ID`, as browsers do when they reconnect, or first as `/api/events?since=17`.
A client whose trials belong to another study (begun anew while no server ran) receives a reset. Without a position, a
client has just fetched the state: it receives the last trials again, so that none is missing, and recognizes them by
number. The server stores nothing per client: each event follows from its position and the state.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, final

from explorer.study.front import FrontView
from explorer.views.page.columns import trial_reasons
from explorer.views.page.data import MAX_PLAIN, page_data, trial_rows
from explorer.views.server.feed import Feed, FeedState
from explorer.views.server.snapshots import live_state
from explorer.web.responses import compact_json

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
)


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a client: it has the first `n_trials` of the study with this digest; and its last state."""

    n_trials: int
    digest: str
    state: FeedState | None = None


def parse_position(last_event_id: str | None, state: FeedState) -> Position | None:
    """Return the position of a client that sends `last_event_id`: how many trials it has, and their digest if known.

    Return None when the study never had so many trials, or when the text is no position.
    """
    if last_event_id is None:
        n_trials = max(0, state.version - _N_REPEATED)
        return Position(n_trials, state.digest(n_trials))
    number, separator, digest = last_event_id.partition("-")
    if not (number.isascii() and number.isdecimal() and len(number) < 10) or int(number) > state.version:
        return None
    return Position(int(number), digest if separator else state.digest(int(number)))


def new_events(feed: Feed, state: FeedState, position: Position | None) -> tuple[list[bytes], Position]:
    """Return the events that bring a client from `position` to `state`, and its new position.

    While a probe takes times, no events are sent after the one that says so.
    """
    if position is not None and position.state is not None:
        is_same_timing = state.timing is not None and position.state.timing == state.timing
        if position.state is state or is_same_timing:
            return [], position
    here = Position(state.version, state.digest(state.version), state)
    events: list[tuple[str, dict[str, Any]]] = []
    if (
        position is None
        or not 0 <= state.version - position.n_trials <= MAX_PLAIN
        or position.digest != state.digest(position.n_trials)
    ):
        events.append(("reset", {}))
    elif state.version > position.n_trials:
        events.append(("trials", _trials(feed.front(state), position.n_trials)))
    events.append(("live", live_state(feed, state)))
    name = f"{here.n_trials}-{here.digest}"
    return [_message(event, values, name) for event, values in events], here


def _trials(front: FrontView, first: int) -> dict[str, Any]:
    """Return the new trials, with what the snapshot says of all trials where that may have changed."""
    result = front.searched
    values = {
        "first": first,
        "version": len(result.trials),
        "trials": trial_rows(front, first),
        "reasons": trial_reasons(result, first),
    }
    # The baseline determines bounds and reference point; a trial may be the first with a metric.
    if first == 0 or replace(result, trials=result.trials[:first]).metric_names() != result.metric_names():
        snapshot = page_data(front, is_packed=True)
        values.update({name: snapshot[name] for name in _HEADER})
    return values


def _message(event: str, values: dict[str, Any], name: str) -> bytes:
    """Return one event. Its data are ASCII JSON, which contains no line ends."""
    data = compact_json(values).decode("ascii")
    return f"id: {name}\nevent: {event}\ndata: {data}\n\n".encode("ascii")


@final
class EventStreams:
    """All open event streams of one feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._wakeups: set[Callable[[], None]] = set()
        self._is_stopped = False

    @property
    def is_full(self) -> bool:
        """Whether the limit of open streams is reached."""
        return len(self._wakeups) >= MAX_STREAMS

    def stop(self) -> None:
        """End every stream, and each that is opened from now on; from any thread."""
        self._is_stopped = True
        for wakeup in tuple(self._wakeups):
            wakeup()

    async def stream(self, last_event_id: str | None) -> AsyncIterator[bytes]:
        """Yield the events for a client at the position `last_event_id`, until it leaves or the server stops.

        A slow client delays no other: its own coroutine waits for it, and then sends what is new by then. When the
        server stops, the last state is still sent.
        """
        loop, has_news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and this coroutine with it
                loop.call_soon_threadsafe(has_news.set)

        self._wakeups.add(wake)
        self._feed.listen(wake)
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode("ascii")
            position = parse_position(last_event_id, self._feed.state())
            is_last = False
            while not is_last:
                is_last = self._is_stopped
                has_news.clear()
                messages, position = new_events(self._feed, self._feed.state(), position)
                for message in messages:
                    yield message
                if messages and not is_last:
                    await asyncio.sleep(S_BETWEEN_PUSHES)
                while not self._is_stopped and not await _is_set(has_news, HEARTBEAT_S):
                    yield b": still here\n\n"
        finally:
            self._feed.leave(wake)
            self._wakeups.discard(wake)


async def _is_set(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for the event, and return whether it came in time."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True
