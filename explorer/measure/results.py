"""Turn a probe's raw samples into metrics with intervals, an observation, and reasons why the times are not valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.measure.drift_correction import Reference, corrected, dispersion, own_reference, whole_reference
from explorer.measure.metrics import Raw, Subject, metrics
from explorer.measure.timing import interval_ratio
from explorer.measure.trace import AXES, Trace
from explorer.measure.validity import Observed, reasons
from explorer.observation import (
    Anchor,
    ColdStart,
    Conditions,
    Estimate,
    Exit,
    Memory,
    Observation,
    Phase,
    Pulse,
    Reason,
    Timing,
)
from explorer.records import Measurement
from explorer.system.worker_process import WorkerFailed
from explorer.typed_json import from_json

_COLD_START = ("start", "import", "load", "first answer")
_STATED_PHASES = frozenset({*_COLD_START, "energy pass"})
"""Phases whose duration is part of a metric. Standing still in the memory pass or the warm-up changes no number."""
OUTPUT_AXES = {"outputs": "enk", "exits": "n", "answers": "nk"}
"""Axes of the outputs that a probe writes: of n examples, e exits and k numbers an output."""
SCORES = "score_"
"""Begins the names of the scores [n] of the examples in a measurement's file; the metric's name follows."""
_TIMES = ("latency_raw_ns", "anchor_ns", "pulse_ns")


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
        numbers |= {
            f"the phase {name}": made.phases[name].wall_s if name in made.phases else -1 for name in _COLD_START
        }
        for name, value in numbers.items():
            if value is not None and value < 0:
                reason = f"the probe says {name} is {value:g}, and a number of at least 0 was expected"
                raise WorkerFailed("invalid value", reason)
        return made

    @property
    def cold_start_ms(self) -> ColdStart:
        """The parts of the cold start."""
        return ColdStart(*(1e3 * self.phases[name].wall_s for name in _COLD_START))

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
    """How a probe was asked: with the whole timing budget or a quarter, on which cores, and related to what."""

    is_whole: bool
    cores: tuple[int, ...]
    reference: Reference | None = None


def measured(raw: Raw, answer: Mapping[str, Any], subject: Subject, terms: Terms) -> tuple[Measured, Raw]:
    """Return the results of a probe, and its raw arrays with scores [n] and `latency_ns` [q], which is corrected.

    Without a reference, times are related to those of anchor and pulse in this measurement itself. Raises WorkerFailed
    for an answer or arrays that no intact probe gives.
    """
    facts = ProbeFacts.of(answer)
    _check_all(raw, subject)
    trace = Trace.from_arrays(raw)
    made = corrected(trace, terms.reference)
    scores = subject.task.scores(raw["answers"], subject.targets)
    arrays = {"latency_ns": np.rint(made.latency_ns).astype(np.int64), **raw}
    arrays |= {f"{SCORES}{name}": of_each for name, of_each in scores.items()}
    reference = whole_reference(trace, terms.reference)
    observation = Observation(
        cores=terms.cores,
        modules=facts.modules,
        processor_share=trace.processor_share,
        busy_cores=facts.busy_cores,
        cold_start_ms=facts.cold_start_ms,
        memory_mib=facts.memory_mib,
        timing=_timing(trace, facts, terms.is_whole),
        anchor=_anchor(trace, reference, made.sensitivity),
        pulse=_pulse(trace, reference),
        conditions=facts.conditions,
        phases=facts.phases,
        exits=_exits(arrays, subject),
        sections=subject.task.sections(raw["answers"], subject.targets, subject.task_facts),
    )
    found = metrics(arrays, facts.cold_start_ms.total, facts.memory_mib, facts.energy, subject)
    return Measured(
        found, observation, reasons(_observed(trace, facts, observation, subject.variant["threads"]))
    ), arrays


def _observed(trace: Trace, facts: ProbeFacts, observation: Observation, threads: int) -> Observed:
    return Observed(
        threads=threads,
        cores=observation.cores,
        conditions=facts.conditions,
        processor_share=trace.processor_share,
        longest_stop_s=trace.longest_stop_s,
        dispersion=dispersion(trace),
        sensitivity=0.0 if observation.anchor is None else observation.anchor.sensitivity,
        n_answers=facts.n_answers,
        n_different=facts.n_different,
        still_s={name: phase.still_s for name, phase in facts.phases.items() if name in _STATED_PHASES},
    )


def _timing(trace: Trace, facts: ProbeFacts, is_whole: bool) -> Timing:
    raw_ms = trace.raw_ns / 1e6
    ratio = interval_ratio(trace)
    return Timing(
        budget="whole" if is_whole else "quarter",
        is_steady=facts.is_steady,
        is_narrow=facts.is_narrow,
        interval_ratio=ratio if np.isfinite(ratio) else None,
        seconds=float(trace.raw_ns.sum() / 1e9),
        raw_latency_ms=_estimate(intervals.percentile(raw_ms, 50)),
        raw_latency_mean_ms=_estimate(intervals.mean(raw_ms)),
        n_answers=facts.n_answers,
    )


def _anchor(trace: Trace, reference: Reference, sensitivity: float) -> Anchor | None:
    own = own_reference(trace)
    if own.anchor_ns is None or reference.anchor_ns is None:
        return None
    return Anchor(
        _estimate(intervals.percentile(trace.anchor_ns / 1e6, 50)),
        reference.anchor_ns / 1e6,
        own.anchor_ns / reference.anchor_ns,
        dispersion(trace),
        sensitivity,
    )


def _pulse(trace: Trace, reference: Reference) -> Pulse:
    own_ns = own_reference(trace).pulse_ns
    return Pulse(own_ns / 1e6, reference.pulse_ns / 1e6, own_ns / reference.pulse_ns)


def _exits(raw: Raw, subject: Subject) -> tuple[Exit, ...]:
    """Return the share of examples that leave at each exit, the quality over all examples there, and median times."""
    n_exits, main = subject.artifact.n_exits, subject.task.main_metric.name
    shares = np.bincount(raw["exits"], minlength=n_exits) / len(subject.targets)
    times = subject.scenario.exit_times(raw, n_exits)
    return tuple(
        Exit(
            float(share),
            subject.task.measure(outputs, subject.targets)[main].value,
            _estimate(intervals.percentile(times_ms, 50)) if len(times_ms) else None,
        )
        for share, outputs, times_ms in zip(shares, raw["outputs"], times, strict=True)
    )


def _estimate(known: Measurement) -> Estimate:
    assert known.value is not None
    assert known.n is not None
    return Estimate(known.value, known.low, known.high, known.n)


def _check_all(raw: Raw, subject: Subject) -> None:
    """Raise WorkerFailed unless the arrays are those of the subject's scenario, artifact and examples."""
    sizes = {
        "n": len(subject.targets),
        "e": subject.artifact.n_exits,
        "k": subject.task.n_outputs(subject.task_facts),
        **subject.scenario.sizes(subject.variant),
    }
    check_raw(raw, sizes, {**AXES, **subject.scenario.axes, **OUTPUT_AXES})


def check_raw(raw: Raw, sizes: Mapping[str, int], axes_of: Mapping[str, str] = OUTPUT_AXES) -> None:
    """Raise WorkerFailed unless all of `axes_of` have the axes [...] stated there, of the lengths in `sizes`."""
    found = dict(sizes)
    for name, axes in axes_of.items():
        array = raw.get(name)
        kind = "f" if name in ("outputs", "answers") else "i"
        if array is None or array.ndim != len(axes) or array.dtype.kind != kind:
            raise WorkerFailed("bad result", f"the probe wrote no {name} [{', '.join(axes)}]")
        for axis, size in zip(axes, array.shape, strict=True):
            if found.setdefault(axis, size) != size or (axis != "a" and not size):
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
    if name.endswith("_window") and (np.diff(array, prepend=0) < 0).any():
        raise WorkerFailed("bad result", f"the probe wrote a {name} that does not count upwards from 0")
    if name.endswith("exits") and (array.min() < 0 or array.max() >= n_exits):
        raise WorkerFailed("bad result", f"the probe wrote {name} that are not among the {n_exits} exits")
