"""StudyResult: everything that a study has found so far, as one frozen value; views draw it and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.objectives import METRICS, Objective
from explorer.records import TrialOutcome, TrialState, Variant
from explorer.space.values import SearchSpace
from explorer.study.confirmation import Confirmation


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One finished trial.

    `violations` maps each constraint's text to the amount by which it is violated, in the metric's unit (<= 0: it
    holds; inf: the metric is not known). `started` and `finished` are seconds of the Unix clock.
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
        """Whether it has a result that can be believed and satisfies every constraint of the study."""
        return self.state == "complete"

    def values(self) -> dict[str, float]:
        """The known metrics as plain numbers."""
        return self.outcome.values()

    def broken(self) -> dict[str, float]:
        """The constraints that do not hold, with their violations."""
        return {text: amount for text, amount in self.violations.items() if amount > 0}


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A study's trials so far, in the order in which they finished, with all that is needed to understand them.

    `confirmation` is what measuring the finalists again found, None when nobody did; see there when it is stale.
    `reference_point` maps each objective's metric to its reference for the hypervolume, fixed for the study's life;
    None until the baseline has been measured. `n_classes` is None until the data are known. `provenance` is JSON-ready.
    """

    name: str
    folder: Path
    space: SearchSpace
    trials: tuple[TrialRecord, ...]
    provenance: Mapping[str, Any]
    reference_point: Mapping[str, float] | None = None
    n_classes: int | None = None
    confirmation: Confirmation | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the study minimizes and maximizes."""
        return self.space.objectives

    @property
    def baseline(self) -> TrialRecord | None:
        """Trial 0 when it has a result (feasible or not, valid or not), else None."""
        first = next((trial for trial in self.trials if trial.number == 0), None)
        return None if first is None or first.state == "failed" else first

    def baseline_values(self) -> dict[str, float]:
        """The baseline's known metrics; empty without a baseline."""
        return {} if self.baseline is None else self.baseline.values()

    def metric_names(self) -> tuple[str, ...]:
        """Every metric that some trial has, known or not: first the objectives, then the others in METRICS' order."""
        present = {name for names in {tuple(trial.outcome.metrics) for trial in self.trials} for name in names}
        wanted = [objective.metric for objective in self.objectives]
        known = [name for name in METRICS if name in present and name not in wanted]
        return (*wanted, *known, *sorted(present - set(METRICS) - set(wanted)))

    def trial(self, number: int) -> TrialRecord | None:
        """The trial of that number, or None."""
        return next((trial for trial in self.trials if trial.number == number), None)
