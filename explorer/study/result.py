"""StudyResult: everything that a study has found so far, as one frozen value that views display."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any, final

from explorer.metrics import METRICS, Objective
from explorer.observation import Observation, PackedObservation
from explorer.records import Metrics, Stage, TrialOutcome, TrialState, Variant
from explorer.space.values import SearchSpace
from explorer.study.confirm.confirmation import Confirmation
from explorer.tasks.task import DEFAULT_TASK, Facts, Task, task_named


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One finished trial.

    `violations` maps each constraint's text to its violation in the metric's unit (<= 0: it holds; inf: the metric is
    unknown). `started` and `finished` are Unix times in seconds.
    """

    number: int
    state: TrialState
    outcome: TrialOutcome
    violations: Mapping[str, float]
    started: float
    finished: float

    @property
    def variant(self) -> Variant:
        """The variant that was tried."""
        return self.outcome.variant

    @property
    def is_feasible(self) -> bool:
        """Whether it has a valid result that satisfies every constraint of the study."""
        return self.state == "complete"

    def values(self) -> dict[str, float]:
        """Return the known metrics as numbers."""
        return self.outcome.values()

    def broken(self) -> dict[str, float]:
        """Return the violations of the constraints that do not hold."""
        return {text: amount for text, amount in self.violations.items() if amount > 0}


@final
class PackedStages(Collection[Stage]):
    """Stages whose names and flags are shared by all trials, with their seconds: half of the memory."""

    __slots__ = ("_kinds", "_seconds")

    def __init__(self, stages: Collection[Stage]) -> None:
        self._kinds = _shared(tuple((stage.name, stage.is_cached) for stage in stages))
        self._seconds = array("d", [stage.seconds for stage in stages]).tobytes()

    def __iter__(self) -> Iterator[Stage]:
        seconds = array("d", self._seconds)
        return (Stage(name, took, is_cached) for (name, is_cached), took in zip(self._kinds, seconds, strict=True))

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, stage: object) -> bool:
        return stage in tuple(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedStages | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"PackedStages({tuple(self)})"


@lru_cache(maxsize=256)
def _shared(kinds: tuple[tuple[str, bool], ...]) -> tuple[tuple[str, bool], ...]:
    return kinds


def compacted(record: TrialRecord) -> TrialRecord:
    """Return an equal record in a fraction of the memory, of which a long study holds thousands.

    Its observation, needed only when the trial is displayed, is compressed.
    """
    outcome = record.outcome
    observed = PackedObservation(outcome.observed) if isinstance(outcome.observed, Observation) else outcome.observed
    violations = {intern(text): amount for text, amount in record.violations.items()}
    smaller = replace(
        outcome, metrics=Metrics.of(outcome.metrics), observed=observed, stages=PackedStages(outcome.stages)
    )
    return replace(record, outcome=smaller, violations=violations)


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A study's trials so far, in the order in which they finished, and what is needed to interpret them.

    reference_point  each objective's metric to its reference for the hypervolume, fixed for the study's life; None
                     until the baseline is measured
    provenance       JSON-ready; states the task, unless the data are not known yet
    confirmation     the repeated measurements of the finalists, possibly stale; None without any
    """

    name: str
    folder: Path
    space: SearchSpace
    trials: tuple[TrialRecord, ...]
    provenance: Mapping[str, Any]
    reference_point: Mapping[str, float] | None = None
    confirmation: Confirmation | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the study."""
        return self.space.objectives

    @property
    def task(self) -> Task:
        """The task of the study; the default while the data are not known yet."""
        return task_named(str(self._stated_task.get("name", DEFAULT_TASK)))

    @property
    def task_facts(self) -> Facts:
        """What the task needs to know of the data; empty while they are not known yet."""
        facts: Facts = self._stated_task.get("facts", {})
        return facts

    @property
    def _stated_task(self) -> Mapping[str, Any]:
        stated: Mapping[str, Any] = self.provenance.get("task", {})
        return stated

    @property
    def baseline(self) -> TrialRecord | None:
        """Trial 0 when it has a result (feasible or not, valid or not), else None."""
        first = next((trial for trial in self.trials if trial.number == 0), None)
        return None if first is None or first.state == "failed" else first

    def baseline_values(self) -> dict[str, float]:
        """Return the baseline's known metrics; empty without a baseline."""
        return {} if self.baseline is None else self.baseline.values()

    @property
    def state(self) -> tuple[int, float]:
        """The number of trials, and when the last one finished (Unix seconds; 0 without any)."""
        return len(self.trials), max((trial.finished for trial in self.trials), default=0.0)

    def is_stale(self, confirmation: Confirmation) -> bool:
        """Return whether the study's trials differ from those of this confirmation."""
        artifacts = {trial.number: trial.outcome.artifact for trial in self.trials}
        is_same = (confirmation.n_trials, confirmation.last_finished) == self.state
        return not is_same or any(artifacts.get(one.trial) != one.artifact for one in confirmation.finalists)

    def metric_names(self) -> tuple[str, ...]:
        """Return every metric that some trial has, known or not: the objectives, then the others in METRICS' order."""
        present = {name for names in {tuple(trial.outcome.metrics) for trial in self.trials} for name in names}
        wanted = [objective.metric for objective in self.objectives]
        known = [name for name in METRICS if name in present and name not in wanted]
        return (*wanted, *known, *sorted(present - set(METRICS) - set(wanted)))

    def trial(self, number: int) -> TrialRecord | None:
        """Return the trial of that number, or None."""
        return next((trial for trial in self.trials if trial.number == number), None)
