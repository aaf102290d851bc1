"""Turn a probe's raw samples into metrics with intervals, an observation, and reasons why the times are not valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.measure.anchor import PARTS, own_level_ns
from explorer.measure.conditions import COLD_START, reasons
from explorer.measure.metrics import Raw, Subject, counted, metrics, timing_metrics
from explorer.measure.quiet_state import Judged, judged
from explorer.measure.trace import AXES, Trace
from explorer.observation import (
    Anchor,
    ColdStart,
    Conditions,
    Estimate,
    Exit,
    Memory,
    Observation,
    Phase,
    Reason,
    Timing,
)
from explorer.records import Measurement
from explorer.system.worker_process import WorkerFailed
from explorer.typed_json import from_json

OUTPUT_AXES = {"outputs": "enk", "exits": "n", "answers": "nk"}
"""Axes of the outputs that a probe writes: of n examples, e exits and k numbers an output."""
SCORES = "score_"
"""Begins the names of the scores [n] of the examples in a measurement's file; the metric's name follows."""
_TIMES = ("latency_raw_ns", "anchor_ns", "stretch_wall_ns")


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of a probe: metrics, what else was observed, and the reasons why the times are invalid."""

    metrics: Mapping[str, Measurement]
    observation: Observation
    reasons: tuple[Reason, ...] = ()

    @property
    def invalid(self) -> tuple[str, ...]:
        """The reasons, one sentence each; empty when the times are valid."""
        return tuple(reason.sentence for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """What a probe says of a timed measurement, beside its arrays; see `measure.probe`."""

    runtime_mib: float
    peak_memory_mib: float
    modules: tuple[str, ...]
    is_steady: bool
    is_narrow: bool
    busy_cores: float
    energy_mj: float | None
    energy_why: str | None
    n_answers: int
    n_different: int
    phases: Mapping[str, Phase]
    conditions: Conditions

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> ProbeFacts:
        """Return the facts of a probe's answer. Raises WorkerFailed for any that no intact probe reports."""
        try:
            made = from_json(cls, answer, "the probe's answer")
        except TypeError as error:
            raise WorkerFailed("bad result", str(error)) from error
        numbers = {name: getattr(made, name) for name in ("runtime_mib", "peak_memory_mib", "busy_cores", "energy_mj")}
        numbers |= {f"the phase {name}": made.phases[name].wall_s if name in made.phases else -1 for name in COLD_START}
        for name, value in numbers.items():
            if value is not None and value < 0:
                reason = f"the probe says {name} is {value:g}, and a number of at least 0 was expected"
                raise WorkerFailed("invalid value", reason)
        return made

    @property
    def cold_start_ms(self) -> ColdStart:
        """The parts of the cold start."""
        return ColdStart(*(1e3 * self.phases[name].wall_s for name in COLD_START))

    @property
    def memory_mib(self) -> Memory:
        """The peak, the bare runtime's, and the model's."""
        return Memory(self.peak_memory_mib, self.runtime_mib, self.peak_memory_mib - self.runtime_mib)

    @property
    def energy(self) -> Measurement:
        """The energy of an example, or why it is not known."""
        if self.energy_mj is None:
            return Measurement.unknown(str(self.energy_why))
        return Measurement(self.energy_mj, n=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a probe was asked: with the whole timing budget or a quarter, on which cores; and how the quiet level [p] of
    the anchor's parts follows from its slices [w, p].
    """

    is_whole: bool
    cores: tuple[int, ...]
    level_of: Callable[[NDArray[np.float64]], NDArray[np.float64]] = own_level_ns


def measured(raw: Raw, answer: Mapping[str, Any], subject: Subject, terms: Terms) -> tuple[Measured, Raw]:
    """Return the results of a probe, and its raw arrays with scores [n], `latency_ns` [q] and `latency_counts` [q].

    These are the times related to the anchor's quiet level, and 1 where a query counts. Raises WorkerFailed for an
    answer or arrays that no intact probe gives.
    """
    facts = ProbeFacts.of(answer)
    _check_all(raw, subject)
    trace = Trace.from_arrays(raw)
    found = judged(trace, terms.level_of(trace.anchor_medians_ns))
    scores = subject.task.scores(raw["answers"], subject.targets)
    arrays = {**_judged_arrays(found), **raw}
    arrays |= {f"{SCORES}{name}": of_each for name, of_each in scores.items()}
    ratio = found.interval_ratio
    observation = Observation(
        cores=terms.cores,
        modules=facts.modules,
        processor_share=found.processor_share,
        busy_cores=facts.busy_cores,
        cold_start_ms=facts.cold_start_ms,
        memory_mib=facts.memory_mib,
        timing=Timing(
            budget="whole" if terms.is_whole else "quarter",
            is_steady=facts.is_steady,
            is_narrow=facts.is_narrow,
            interval_ratio=ratio if np.isfinite(ratio) else None,
            seconds=float(trace.raw_ns.sum() / 1e9),
            n_answers=facts.n_answers,
        ),
        anchor=_anchor(found),
        conditions=facts.conditions,
        phases=facts.phases,
        exits=_exits(arrays, found, subject),
        sections=subject.task.sections(raw["answers"], subject.targets, subject.task_facts),
    )
    made = metrics(raw, found, facts.cold_start_ms.total, facts.memory_mib, facts.energy, subject)
    threads, longest_stop_s = subject.variant["threads"], trace.longest_stop_s
    invalid = reasons(observation, threads, longest_stop_s, facts.n_different)
    return Measured(made, observation, tuple(invalid)), arrays


def rejudged(
    raw: Raw, made: Measured, subject: Subject, level_ns: NDArray[np.float64]
) -> tuple[Measured, Mapping[str, NDArray[Any]]]:
    """Return a measurement judged again by another quiet level of the anchor's parts [p], and its raw arrays [...].

    Nothing is measured: `raw` are its stored arrays. What the machine's use was is not known any more. Raises
    WorkerFailed for arrays that no intact probe gives.
    """
    _check_all(raw, subject)
    found = judged(Trace.from_arrays(raw), level_ns)
    times = timing_metrics(raw, found, made.metrics["peak_memory_mib"], subject)
    paths = _path_times(raw, found, subject)
    exits = [replace(one, latency_ms=time) for one, time in zip(made.observation.exits, paths, strict=True)]
    ratio, timing = found.interval_ratio, made.observation.timing
    timing = replace(
        timing, interval_ratio=ratio if np.isfinite(ratio) else None, is_narrow=timing.is_narrow and found.is_quiet
    )
    observation = replace(
        made.observation,
        processor_share=found.processor_share,
        timing=timing,
        anchor=_anchor(found),
        exits=tuple(exits),
        utilization=None,
    )
    return Measured({**made.metrics, **times}, observation, made.reasons), {**raw, **_judged_arrays(found)}


def _judged_arrays(found: Judged) -> dict[str, NDArray[Any]]:
    return {"latency_ns": np.rint(found.latency_ns).astype(np.int64), "latency_counts": found.counts.astype(np.int64)}


def _anchor(found: Judged) -> Anchor:
    low, median, high = np.percentile(found.slowness, [25, 50, 75]).tolist()
    return Anchor(
        level_ms=tuple((found.level_ns / 1e6).tolist()),
        slowness=median,
        dispersion=(high - low) / 1.349 / median,  # the standard deviation of a normal sample, robust to outliers
        quiet_ratio=found.n_quiet / len(found.slowness),
        excess=found.excess,
    )


def _exits(raw: Raw, found: Judged, subject: Subject) -> tuple[Exit, ...]:
    """Return the share of examples that leave at each exit, the quality over all examples there, and median times."""
    main = subject.task.main_metric.name
    shares = np.bincount(raw["exits"], minlength=subject.artifact.n_exits) / len(subject.targets)
    return tuple(
        Exit(float(share), subject.task.measure(outputs, subject.targets)[main].value, time)
        for share, outputs, time in zip(shares, raw["outputs"], _path_times(raw, found, subject), strict=True)
    )


def _path_times(raw: Raw, found: Judged, subject: Subject) -> list[Estimate | None]:
    """Return the median time of the queries that took each exit; None where none did."""
    arrays = counted(raw, found, subject.scenario)
    times = subject.scenario.exit_times(arrays, subject.artifact.n_exits)
    return [_estimate(intervals.percentile(times_ms, 50)) if len(times_ms) else None for times_ms in times]


def _estimate(known: Measurement) -> Estimate:
    assert known.value is not None
    assert known.n is not None
    return Estimate(known.value, known.low, known.high, known.n)


def _check_all(raw: Raw, subject: Subject) -> None:
    """Raise WorkerFailed unless the arrays are those of the subject's scenario, artifact and examples."""
    sizes = {
        "p": len(PARTS),
        "n": len(subject.targets),
        "e": subject.artifact.n_exits,
        "k": subject.task.n_outputs(subject.task_facts),
        **subject.scenario.sizes(subject.variant),
    }
    check_raw(raw, sizes, {**AXES, **subject.scenario.axes, **OUTPUT_AXES})
    anchor, slices = raw["anchor_slice"], np.unique(raw["latency_slice"])
    is_between = anchor[0] == 0 and (np.diff(anchor) <= 1).all() and slices[-1] < anchor[-1]
    if not is_between or len(raw["stretch_wall_ns"]) != anchor[-1] + 1 + len(slices):
        raise WorkerFailed("bad result", "the probe wrote slices that do not lie between two of the anchor's")


def check_raw(raw: Raw, sizes: Mapping[str, int], axes_of: Mapping[str, str] = OUTPUT_AXES) -> None:
    """Raise WorkerFailed unless all of `axes_of` have the axes [...] stated there, of the lengths in `sizes`."""
    found = dict(sizes)
    for name, axes in axes_of.items():
        array = raw.get(name)
        kind = "f" if name in ("outputs", "answers") else "i"
        if array is None or array.ndim != len(axes) or array.dtype.kind != kind:
            raise WorkerFailed("bad result", f"the probe wrote no {name} [{', '.join(axes)}]")
        for axis, size in zip(axes, array.shape, strict=True):
            if found.setdefault(axis, size) != size or not size:
                raise WorkerFailed(
                    "bad result",
                    f"the probe wrote {name} [{', '.join(axes)}] of shape {list(array.shape)}; "
                    f"expected {axis} = {found[axis] or 'at least 1'}",
                )
        _check_values(name, array, sizes["e"])


def _check_values(name: str, array: NDArray[Any], n_exits: int) -> None:
    if name in _TIMES and (array <= 0).any():
        raise WorkerFailed("invalid value", f"the probe says that {name} is {array.min()}, expected times above 0")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise WorkerFailed("invalid value", f"the probe wrote {name} that are not finite numbers")
    if name.endswith("_slice") and (np.diff(array, prepend=0) < 0).any():
        raise WorkerFailed("bad result", f"the probe wrote a {name} that does not count upwards from 0")
    if name.endswith("exits") and (array.min() < 0 or array.max() >= n_exits):
        raise WorkerFailed("bad result", f"the probe wrote {name} that are not among the {n_exits} exits")
