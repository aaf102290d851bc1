"""Queries: the real images that a probe times, always in the same order, and what each query answered. NumPy alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from explorer.measure.energy import EnergyCounter
from explorer.measure.predicting import Predicted, n_different
from explorer.measure.timing import Timer
from explorer.runtimes.staged import Array, StagedExecutor

_ENERGY_S = 1.0
_ORDER_SEED = 0
_TIMED_IMAGES = 2048


@final
class Queries:
    """Single-stream queries: one after the other over real images, and what each of them answered.

    Every measurement takes the images in the same seeded order, so that two variants are timed on the same ones.
    """

    def __init__(self, executor: StagedExecutor, images: Array, batch: int, anchor: StagedExecutor | None) -> None:
        order = np.random.default_rng(_ORDER_SEED).permutation(len(images))
        n_queries = max(1, min(len(order), _TIMED_IMAGES) // batch)
        self._which: NDArray[np.int64] = np.resize(order, (n_queries, batch))
        self._threshold = executor.threshold
        self._exits: list[NDArray[np.int64]] = []
        self._logits: list[Array] = []
        shuffled = images[self._which]
        first = np.ascontiguousarray(images[:1])
        self._ask: Callable[[int], tuple[Array, Array]] = lambda n: executor.classify(shuffled[n])
        self.timer = Timer(
            self._ask,
            len(shuffled),
            None if anchor is None else lambda: anchor.classify(first),
            self._keep,
        )

    def _keep(self, n: int, made: tuple[Array, Array]) -> None:
        logits, exits = made
        self._exits.append(exits)
        self._logits.append(logits.copy())

    def raw(self) -> dict[str, NDArray[Any]]:
        """Times in ns, as `measure.timing.Timed` has them, and the exits [q, b] of each timed query."""
        timed = self.timer.timed()
        return {
            "latency_raw_ns": timed.latency_ns,
            "latency_window": timed.window,
            "latency_exits": np.stack(self._exits),
            "anchor_ns": timed.anchor_ns,
            "anchor_window": timed.anchor_window,
            "pulse_ns": timed.pulse_ns,
            "pulse_window": timed.pulse_window,
            "stretch_wall_ns": timed.wall_ns,
            "stretch_processor_ns": timed.processor_ns,
        }

    def compared(self, predicted: Predicted) -> dict[str, int]:
        """How many answers were taken while timing, and how many of them were others than those of `predicted`."""
        logits, exits = np.concatenate(self._logits), np.concatenate(self._exits)
        which = self._which[np.arange(len(self._logits)) % len(self._which)].ravel()
        return {"n_answers": len(which), "n_different": n_different(logits, exits, which, predicted, self._threshold)}

    def energy(self) -> dict[str, Any]:
        """Energy of an image in mJ, over a second without the anchor; None and why where it is not to be had."""
        counter = EnergyCounter.open()
        if counter.why is not None:
            return {"energy_mj": None, "energy_why": counter.why}
        until, n = time.perf_counter() + _ENERGY_S, 0
        try:
            before = counter.read_uj()
            while time.perf_counter() < until:
                self._ask(n % len(self._which))
                n += 1
            used_uj = counter.used_uj(before)
        except OSError as error:
            return {"energy_mj": None, "energy_why": f"the energy counters cannot be read any more: {error}"}
        if used_uj is None:
            return {"energy_mj": None, "energy_why": "the energy counters stand still"}
        return {"energy_mj": used_uj / 1e3 / (n * self._which.shape[1]), "energy_why": None}
