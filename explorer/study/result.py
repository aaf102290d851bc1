"""StudyResult: everything that a study has found so far, as one frozen value that views display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.metrics import METRICS, Objective
from explorer.records import TrialOutcome, TrialState, Variant
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

    def metric_names(self) -> tuple[str, ...]:
        """Return every metric that some trial has, known or not: the objectives, then the others in METRICS' order."""
        present = {name for names in {tuple(trial.outcome.metrics) for trial in self.trials} for name in names}
        wanted = [objective.metric for objective in self.objectives]
        known = [name for name in METRICS if name in present and name not in wanted]
        return (*wanted, *known, *sorted(present - set(METRICS) - set(wanted)))

    def trial(self, number: int) -> TrialRecord | None:
        """Return the trial of that number, or None."""
        return next((trial for trial in self.trials if trial.number == number), None)
