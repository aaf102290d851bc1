"""Results: what a probe found, from its raw samples: metrics with intervals, details, and whether to believe them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from explorer.measure import intervals
from explorer.measure.child import ChildFailed
from explorer.measure.conditions import Conditions
from explorer.measure.correction import Reference, corrected, dispersion, own_reference, whole_reference
from explorer.measure.cost import Prices
from explorer.measure.metrics import exit_details, metrics
from explorer.measure.phases import Phase
from explorer.measure.timing import Timed, interval_ratio
from explorer.measure.validity import Observed, reasons
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact

_NUMBERS = ("peak_memory_mib", "runtime_mib", "busy_cores", "n_answers", "n_different")
_COLD_START = ("start", "import", "load", "first_answer")
_STATED_PHASES = frozenset({"start", "import", "load", "first answer", "energy pass"})
"""The phases whose time is part of a metric. To stand still in the memory pass or the warm-up changes no number."""
_AXES = {
    "latency_raw_ns": "q",
    "latency_window": "q",
    "latency_exits": "qb",
    "anchor_ns": "a",
    "anchor_window": "a",
    "pulse_ns": "p",
    "pulse_window": "p",
    "stretch_wall_ns": "s",
    "stretch_processor_ns": "s",
    "exits": "n",
    "predictions": "n",
    "logits": "enk",
}
"""The axes of what a probe writes: q queries of b images, a and p times of anchor and pulse, s stretches of time; of n
images, e exits and k classes."""
_TIMES = ("latency_raw_ns", "anchor_ns", "pulse_ns")

Raw = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a probe found. `details` is JSON-ready; its `processor_share` is that of the timed thread, 1 undisturbed.

    `invalid` are the reasons why the times cannot be believed, one sentence each; none: they can.
    """

    metrics: Mapping[str, Measurement]
    details: Mapping[str, Any]
    invalid: tuple[str, ...] = ()


def measured(
    raw: Raw,
    facts: Mapping[str, Any],
    labels: NDArray[np.int64],
    artifact: Artifact,
    variant: Variant,
    prices: Prices,
    n_classes: int,
    reference: Reference | None,
) -> tuple[Measured, Raw]:
    """The result of a probe, and its raw samples with `latency_ns` [q], corrected, beside `latency_raw_ns`.

    `facts` are the probe's own with `is_whole` (the budget) and `cores`. `reference` None: the anchor's
    and the pulse's times in this very measurement. Raises ChildFailed for what no sound probe says.
    """
    _check_facts(facts)
    check_raw(raw, {"b": variant.batch_size, "n": len(labels), "e": artifact.n_exits, "k": n_classes})
    timed = Timed(
        raw["latency_raw_ns"],
        raw["latency_window"],
        raw["anchor_ns"],
        raw["anchor_window"],
        raw["pulse_ns"],
        raw["pulse_window"],
        raw["stretch_wall_ns"],
        raw["stretch_processor_ns"],
    )
    made = corrected(timed, reference)
    whole = {"latency_ns": np.rint(made.latency_ns).astype(np.int64), **raw}
    seen = _observed(timed, facts, variant, made.sensitivity)
    details = {
        **exit_details(whole, labels, artifact, n_classes),
        "cores": list(facts["cores"]),
        "modules": list(facts["modules"]),
        "processor_share": timed.processor_share,
        "busy_cores": facts["busy_cores"],
        "cold_start_ms": dict(zip(_COLD_START, facts["cold_start_ms"], strict=True)),
        "memory_mib": {
            "peak": facts["peak_memory_mib"],
            "runtime": facts["runtime_mib"],
            "model": facts["peak_memory_mib"] - facts["runtime_mib"],
        },
        "timing": _timing(timed, facts),
        "anchor": _anchor(timed, whole_reference(timed, reference), made.sensitivity),
        "conditions": seen.conditions.to_json(),
        "phases": dict(facts["phases"]),
    }
    return Measured(metrics(whole, facts, labels, artifact, variant, prices), details, reasons(seen)), whole


def _observed(timed: Timed, facts: Mapping[str, Any], variant: Variant, sensitivity: float) -> Observed:
    return Observed(
        threads=variant.threads,
        cores=tuple(facts["cores"]),
        conditions=_conditions(facts),
        processor_share=timed.processor_share,
        longest_stop_s=timed.longest_stop_s,
        dispersion=dispersion(timed),
        sensitivity=sensitivity,
        n_answers=facts["n_answers"],
        n_different=facts["n_different"],
        still_s={name: phase.still_s for name, phase in _phases(facts).items() if name in _STATED_PHASES},
    )


def _timing(timed: Timed, facts: Mapping[str, Any]) -> dict[str, Any]:
    """How long was timed, how well the median is known, and the times as the clock had them."""
    raw_ms = timed.latency_ns / 1e6
    ratio = interval_ratio(timed)
    return {
        "budget": "whole" if facts["is_whole"] else "quarter",
        "is_steady": facts["is_steady"],
        "is_narrow": facts["is_narrow"],
        "interval_ratio": ratio if np.isfinite(ratio) else None,
        "seconds": float(timed.latency_ns.sum() / 1e9),
        "raw_latency_ms": intervals.percentile(raw_ms, 50).to_json(),
        "raw_latency_mean_ms": intervals.mean(raw_ms).to_json(),
        "n_answers": facts["n_answers"],
    }


def _anchor(timed: Timed, reference: Reference, sensitivity: float) -> dict[str, Any]:
    """The anchor's own time in ms beside its reference, and the same of the pulse; what of it was taken out.

    `slowness` and `pulse_slowness` are above 1 where the machine was slower than at the reference; `sensitivity` is the
    candidate's to what slows the anchor beyond the pulse. Without an anchor its `value` is None.
    """
    own = own_reference(timed)
    pulse = {
        "pulse": own.pulse_ns / 1e6,
        "pulse_reference": reference.pulse_ns / 1e6,
        "pulse_slowness": own.pulse_ns / reference.pulse_ns,
    }
    if own.anchor_ns is None or reference.anchor_ns is None:
        return {"value": None, **pulse}
    return {
        **intervals.percentile(timed.anchor_ns / 1e6, 50).to_json(),
        "reference": reference.anchor_ns / 1e6,
        "slowness": own.anchor_ns / reference.anchor_ns,
        "dispersion": dispersion(timed),
        "sensitivity": sensitivity,
        **pulse,
    }


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Raises ChildFailed for facts that no sound probe tells."""
    cold_start = facts.get("cold_start_ms")
    parts = cold_start if isinstance(cold_start, list) and len(cold_start) == len(_COLD_START) else [None]
    named = {name: facts.get(name) for name in _NUMBERS} | {f"cold_start_ms[{n}]": part for n, part in enumerate(parts)}
    if facts.get("energy_mj") is not None:
        named["energy_mj"] = facts["energy_mj"]
    for name, value in named.items():
        if not _is_number(value) or not 0 <= value < float("inf"):
            raise ChildFailed(
                "invalid value",
                f"the probe says {name} is {reprlib.repr(value)}, and a number of at least 0 was expected",
            )
    kinds = {"modules": list, "is_steady": bool, "is_narrow": bool}
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind):
            raise ChildFailed("bad result", f"the probe says {name} is {reprlib.repr(facts.get(name))}")


def _conditions(facts: Mapping[str, Any]) -> Conditions:
    """The last ones. Raises ChildFailed when they are none."""
    try:
        made = Conditions.from_json(facts["conditions"][-1])
    except (LookupError, TypeError, ValueError) as error:
        raise ChildFailed("bad result", f"the probe's conditions do not read: {error!r}") from error
    values = [made.seconds, made.steal_ratio, made.others_ratio, made.n_working, made.suspended_s, *made.cores]
    if not all(value is None or _is_number(value) for value in values):
        raise ChildFailed("bad result", f"the probe's conditions are not numbers: {reprlib.repr(values)}")
    return made


def _phases(facts: Mapping[str, Any]) -> dict[str, Phase]:
    """Every phase but that of timing, by name. Raises ChildFailed when they are none."""
    try:
        return {str(name): Phase.from_json(values) for name, values in facts["phases"].items()}
    except (LookupError, TypeError, AttributeError) as error:
        raise ChildFailed("bad result", f"the probe's phases do not read: {error!r}") from error


def check_raw(raw: Raw, sizes: Mapping[str, int], names: Iterable[str] = tuple(_AXES)) -> None:
    """Raises ChildFailed unless all `names` are there as a sound probe writes them. `sizes` are those of known axes."""
    found = dict(sizes)
    for name in names:
        axes, array = _AXES[name], raw.get(name)
        if array is None or array.ndim != len(axes) or array.dtype.kind != ("f" if name == "logits" else "i"):
            raise ChildFailed("bad result", f"the probe wrote no {name} [{', '.join(axes)}]")
        for axis, size in zip(axes, array.shape, strict=True):
            if found.setdefault(axis, size) != size or (axis != "a" and not size):
                raise ChildFailed(
                    "bad result",
                    f"the probe wrote {name} [{', '.join(axes)}] of shape {list(array.shape)}; "
                    f"expected {axis} = {found[axis] or 'at least 1'}",
                )
        _check_values(name, array, sizes["e"])


def _check_values(name: str, array: NDArray[Any], n_exits: int) -> None:
    if name in _TIMES and (array <= 0).any():
        raise ChildFailed("invalid value", f"the probe says that {name} is {array.min()}, expected times above 0")
    if name == "logits" and not np.isfinite(array).all():
        raise ChildFailed("invalid value", "the probe wrote logits that are not finite numbers")
    if name.endswith("_window") and (np.diff(array, prepend=0) < 0).any():
        raise ChildFailed("bad result", f"the probe wrote a {name} that does not count upwards from 0")
    if name.endswith("exits") and (array.min() < 0 or array.max() >= n_exits):
        raise ChildFailed("bad result", f"the probe wrote {name} that are not among the {n_exits} exits")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
