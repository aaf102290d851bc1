"""A device whose clocks are scripted: what a query takes, which state the core is in, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from explorer.measure.timing import Clock, Timer

MS = 1_000_000
PARTS_MS = (0.1, 0.05, 0.05)
LEVEL_NS = np.array(PARTS_MS) * MS


class ScriptedDevice:
    """Queries take `latency_ms(n)` and the anchor's parts PARTS_MS, times `clock(seconds)`.

    `state(seconds)` slows the anchor beyond that, and the candidate with the power `sensitivity`.
    `stops` maps a running number of a query to milliseconds for which the process then stands still.
    """

    def __init__(
        self,
        latency_ms: Callable[[int], float] = lambda n: 1.0,
        state: Callable[[float], float] = lambda seconds: 1.0,
        sensitivity: float = 1.0,
        clock: Callable[[float], float] = lambda seconds: 1.0,
        stops: dict[int, float] | None = None,
        processor_share: float = 1.0,
    ) -> None:
        self.wall_ns = self.processor_ns = 0
        self.asked: list[int] = []
        self._latency_ms, self._state, self._sensitivity, self._clock = latency_ms, state, sensitivity, clock
        self._stops, self._share = stops or {}, processor_share

    def ask(self, n: int) -> int:
        self.asked.append(n)
        state = self._state(self.wall_ns / 1e9) ** self._sensitivity
        self._work(self._latency_ms(len(self.asked) - 1) * state)
        self.wall_ns += int(self._stops.get(len(self.asked) - 1, 0) * MS)
        return n

    def part(self, ms: float) -> Callable[[], None]:
        return lambda: self._work(ms * self._state(self.wall_ns / 1e9))

    def timer(self, repeat_after: int = 64, **options: Callable[..., None]) -> Timer:
        clock = Clock(lambda: self.wall_ns, lambda: self.processor_ns)
        return Timer(self.ask, repeat_after, clock=clock, anchor=[self.part(ms) for ms in PARTS_MS], **options)

    def _work(self, ms: float) -> None:
        taken = int(ms * self._clock(self.wall_ns / 1e9) * MS)
        self.wall_ns += taken
        self.processor_ns += int(taken * self._share)


def spells(quiet_ratio: float, seed: int, slow: float = 1.35, seconds: float = 120.0) -> Callable[[float], float]:
    """The state of a core that is quiet for that share of the time: spells of half a second to three seconds."""
    rng = np.random.default_rng(seed)
    ends, states, now = [], [], 0.0
    while now < seconds:
        is_quiet = rng.random() < quiet_ratio
        now += rng.uniform(0.5, 3.0)
        ends.append(now)
        states.append(1.0 if is_quiet else slow * rng.uniform(0.95, 1.1))
    return lambda t: states[min(len(states) - 1, int(np.searchsorted(ends, t, side="right")))]
