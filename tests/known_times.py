"""`explore`, for which every query takes a known time: for tests that read what a study leaves, or run its commands.

    python known_times.py COMMAND...

Everything else is real: the builder, the probes, the artifacts, what they answer. What is timed is said to take what
`known_ms` has for its variant, so that no other process can make a measurement invalid, no test waits for steady times,
and which variant is the fastest is known. Studies whose times are real run alone: see the marker `measures`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from fakes import known_metrics

sys.path.remove(str(Path(__file__).parent))

from explorer import cli
from explorer.measure import probing, results
from explorer.measure.anchor import own_level_ns
from explorer.measure.metrics import Subject
from explorer.measure.timing import Budget
from explorer.records import Variant
from explorer.study.confirm import rounds

SHORT = Budget(min_queries=20, min_s=0.02, quiet_s=0.2, limit_s=0.2)
_ANCHOR_NS = 100_000
_SPREAD, _BETWEEN = 0.01, 0.02  # of the queries of one process, and of processes: two medians in ns are hardly equal
_measured = probing.measured

Raw = Mapping[str, NDArray[Any]]


def known_ms(variant: Variant) -> float:
    """What a query of `variant` takes, in milliseconds: ONNX Runtime is the faster of two that are alike otherwise."""
    return known_metrics(variant)["latency_ms"] / 10.0


def with_known_times(raw: Raw, variant: Variant) -> dict[str, NDArray[Any]]:
    """What a probe wrote, with other times: within 3 % of `known_ms`, on a machine that is always the same."""
    n = len(raw["latency_raw_ns"])
    rng = np.random.default_rng(np.frombuffer(raw["latency_raw_ns"].tobytes(), np.uint32))
    level = 1.0 + _BETWEEN * rng.uniform(-1.0, 1.0)  # no two processes are equal
    times = 1e6 * known_ms(variant) * level * np.linspace(1.0 - _SPREAD, 1.0 + _SPREAD, n)
    return {
        **raw,
        "latency_raw_ns": rng.permutation(np.rint(times).astype(np.int64)),
        "anchor_ns": np.full_like(raw["anchor_ns"], _ANCHOR_NS),
        "stretch_processor_ns": raw["stretch_wall_ns"],
    }


def measured(raw: Raw, facts: Any, subject: Subject, reference: Any) -> tuple[Any, Raw]:
    """`explorer.measure.results.measured`, of known times."""
    return _measured(with_known_times(raw, subject.variant), facts, subject, reference)


def replace_times() -> None:
    """From here on this process measures known times."""
    results.reasons = lambda *seen: ()
    probing.measured = measured
    probing.known_level_ns = lambda: None
    probing.learned_level_ns = own_level_ns  # what real anchors take is remembered elsewhere
    probing.ProbeSettings.budget = lambda settings, is_whole: SHORT  # type: ignore[method-assign]
    rounds.MIN_ROUNDS = rounds.MAX_ROUNDS = 2  # further ones would say the same


def main() -> None:
    """The command line; ends with SystemExit."""
    replace_times()
    sys.argv[0] = "explore"
    cli.main()


if __name__ == "__main__":
    main()
