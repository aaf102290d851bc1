"""A device whose clocks are scripted: what a query takes, how slow the machine is when, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from explorer.measure.timing import Clock, Timer

MS = 1_000_000


class ScriptedDevice:
    """Queries take `latency_ms(n)`, the anchor's `anchor_ms` and the pulse 0.1 ms, times `slowness(seconds)`.

    `contention(seconds)` slows the anchor beyond that, and the candidate with the power `sensitivity`.
    `stops` maps a running number of a query to milliseconds for which the process then stands still.
    """

    def __init__(
        self,
        latency_ms: Callable[[int], float] = lambda n: 1.0,
        anchor_ms: float = 0.5,
        slowness: Callable[[float], float] = lambda seconds: 1.0,
        stops: dict[int, float] | None = None,
        processor_share: float = 1.0,
        contention: Callable[[float], float] = lambda seconds: 1.0,
        sensitivity: float = 0.0,
    ) -> None:
        self.wall_ns = self.processor_ns = 0
        self.asked: list[int] = []
        self.n_anchor = 0
        self._latency_ms, self._anchor_ms, self._slowness = latency_ms, anchor_ms, slowness
        self._stops, self._share = stops or {}, processor_share
        self._contention, self._sensitivity = contention, sensitivity

    def ask(self, n: int) -> int:
        self.asked.append(n)
        contention = self._contention(self.wall_ns / 1e9) ** self._sensitivity
        self._work(self._latency_ms(len(self.asked) - 1) * contention)
        self.wall_ns += int(self._stops.get(len(self.asked) - 1, 0) * MS)
        return n

    def anchor(self) -> None:
        self.n_anchor += 1
        self._work(self._anchor_ms * self._contention(self.wall_ns / 1e9))

    def pulse(self) -> None:
        self._work(0.1)

    def timer(self, has_anchor: bool = True, repeat_after: int = 64, **options: Callable[..., None]) -> Timer:
        clock = Clock(lambda: self.wall_ns, lambda: self.processor_ns)
        anchor = self.anchor if has_anchor else None
        return Timer(self.ask, repeat_after, anchor, clock=clock, pulse=self.pulse, **options)

    def _work(self, ms: float) -> None:
        taken = int(ms * self._slowness(self.wall_ns / 1e9) * MS)
        self.wall_ns += taken
        self.processor_ns += int(taken * self._share)
