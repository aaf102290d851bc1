"""The anchor: the same arithmetic in every process on a machine, which shows whether a core is in its quiet state.

It has three parts, since what slows a core does not slow all work alike: a product of small matrices and exponentials,
for which work on the other thread of the core matters, each in its way, and reading an array of 4 MiB, for which the
use of the caches by others matters. Their times differ between processes by 0.3 %, so their level in the quiet state
belongs to the machine. It is learned from all measurements on it, and stored in the cache. NumPy alone.
"""

from __future__ import annotations

import contextlib
import json
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure.quiet_state import lower_mode_ns
from explorer.system import environment
from explorer.system.files import write_json
from explorer.system.hashing import cache_root, content_key

PARTS = ("matrix product", "exponentials", "reading")

_VERSION = 1  # raised whenever the parts change
_SIDE, _N_PRODUCTS = 64, 20  # so small that no library divides a product among threads
_N_EXPONENTIALS, _N_REPEATS = 2048, 40
_READ_BYTES, _PAGE_BYTES = 4 * 2**20, 4096
_BIN = 0.002  # of the logarithm of a slice's median
_MOST = 8000
"""Slices that are remembered, of at least five minutes. Older ones fade: beyond it, all counts are halved."""


def anchor_parts() -> tuple[Callable[[], object], ...]:
    """Return the anchor's parts, 0.05 to 0.1 ms each on a server's core; their arrays begin with a page."""
    left, right, product = (_on_page((_SIDE, _SIDE)) for _ in range(3))
    exponents, powers = _on_page((_N_EXPONENTIALS,)), _on_page((_N_EXPONENTIALS,))
    numbers = _on_page((_READ_BYTES // 4,))

    def multiply() -> None:
        for _ in range(_N_PRODUCTS):
            np.matmul(left, right, out=product)

    def exponentiate() -> None:
        for _ in range(_N_REPEATS):
            np.exp(exponents, out=powers)

    return multiply, exponentiate, numbers.max


def _on_page(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return seeded numbers in [0, 1) of that shape, at the beginning of a page."""
    size = int(np.prod(shape)) * 4
    memory = np.empty(size + _PAGE_BYTES, dtype=np.uint8)
    begin = -memory.ctypes.data % _PAGE_BYTES
    made = memory[begin : begin + size].view(np.float32).reshape(shape)
    made[...] = np.random.default_rng(0).random(shape, dtype=np.float32)
    return made


def level_file() -> Path:
    """Return the path of what is remembered of the anchor on this machine; it need not exist."""
    return cache_root() / "machine" / f"anchor-{content_key(_identity())}.json"


def known_level_ns(file: Path | None = None) -> NDArray[np.float64] | None:
    """Return the quiet level of each part [p], as far as this machine has shown it; None where it has not yet."""
    counts = _stored(file or level_file())
    return None if counts is None else _level_ns(counts)


def learned_level_ns(medians_ns: NDArray[np.float64], file: Path | None = None) -> NDArray[np.float64]:
    """Remember the anchor's slices [w, p], if the cache can be written, and return the quiet level of each part [p]."""
    file = file or level_file()
    stored = _stored(file) or [Counter() for _ in PARTS]
    bins = np.rint(np.log(medians_ns) / _BIN).astype(int)
    counts = [known + Counter(column.tolist()) for known, column in zip(stored, bins.T, strict=True)]
    while any(part.total() > _MOST for part in counts):
        counts = [Counter({place: n // 2 for place, n in part.items() if n > 1}) for part in counts]
    with contextlib.suppress(OSError):
        write_json(file, {"of": _identity(), "counts": [{str(k): n for k, n in part.items()} for part in counts]})
    return _level_ns(counts)


def own_level_ns(medians_ns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quiet level of each part [p] that slices [w, p] show by themselves."""
    return np.array([lower_mode_ns(column) for column in medians_ns.T])


def _identity() -> dict[str, Any]:
    processor = environment.processor()
    return {
        "version": _VERSION,
        "host": platform.node(),  # several machines may share a cache, and have clocks of their own
        "processor": processor["name"],
        "instructions": processor["instructions"],
        "numpy": environment.packages()["numpy"],
    }


def _level_ns(counts: Sequence[Counter[int]]) -> NDArray[np.float64]:
    return np.array([lower_mode_ns(np.exp(_BIN * np.array(list(part))), list(part.values())) for part in counts])


def _stored(file: Path) -> list[Counter[int]] | None:
    """Return the counts of each part by bin; None when the file is missing or damaged."""
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))["counts"]
        counts = [Counter({int(place): int(n) for place, n in part.items() if 0 < int(n) <= _MOST}) for part in parts]
        is_sound = len(counts) == len(PARTS) and all(part and max(map(abs, part)) * _BIN < 50 for part in counts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return counts if is_sound else None
