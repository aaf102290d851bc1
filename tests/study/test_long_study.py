"""A trial's work does not grow with the number of trials: counted, not timed."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeEvaluator, small_space, start
from optuna.trial import FrozenTrial

from explorer.metrics import Constraint
from explorer.pareto.front import front_mask
from explorer.study.feasibility import directions_of, feasible_trials, objective_points
from explorer.study.result import StudyResult
from explorer.study.search import racing as worth
from explorer.study.store import optuna_storage as storage

N_TRIALS = 240
EARLY, LATE = range(20, 40), range(N_TRIALS - 21, N_TRIALS - 1)  # trials, by number


class Counts:
    """What has been done so far when the evaluator is asked for a trial, by the trial's number."""

    def __init__(self) -> None:
        self.n_statements = self.n_commits = 0
        self.compared: list[int] = []
        self.at: dict[int, tuple[int, int]] = {}
        self.n_optunas: dict[int, int] = {}

    def trace(self, statement: str) -> None:
        self.n_statements += 1
        self.n_commits += statement == "COMMIT"

    def note(self, number: int) -> None:
        self.at[number] = (self.n_statements, self.n_commits)
        if number in (EARLY[0], LATE[-1]):
            gc.collect()
            self.n_optunas[number] = sum(type(one) is FrozenTrial for one in gc.get_objects())  # some are lazy modules

    def in_trials(self, numbers: range) -> list[tuple[int, int]]:
        """Statements and commits of each trial, from its evaluation to the next one's."""
        return [
            (self.at[number + 1][0] - self.at[number][0], self.at[number + 1][1] - self.at[number][1])
            for number in numbers
        ]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Counts, StudyResult]]:
    """A study of N_TRIALS random trials, and what each of them took."""
    counts = Counts()
    connect = storage.connect

    def counted_connect(path: Path, *arguments, **options) -> sqlite3.Connection:
        connection = connect(path, *arguments, **options)
        connection.set_trace_callback(counts.trace)
        return connection

    def counted_mask(points, directions):
        counts.compared.append(len(points))
        return front_mask(points, directions)

    levels = {"pruning_ratio": [i / 20 for i in range(13)], "exit_threshold": [i / 20 for i in range(10, 21)]}
    space = small_space(n_trials=N_TRIALS, constraints=[Constraint("peak_memory_mib", "<=", 790.0)], **levels)
    evaluator = FakeEvaluator(before=lambda variant, number: counts.note(number))
    folder = tmp_path_factory.mktemp("night")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EXPLORER_CACHE", str(folder / "cache"))
        patched.setattr(storage, "connect", counted_connect)
        patched.setattr(worth, "front_mask", counted_mask)
        yield counts, start(space, folder / "study", evaluator)


def test_long_study_late_trial_takes_as_many_statements_as_an_early_one(night):
    counts, _ = night
    assert {n for n, _ in counts.in_trials(EARLY)} == {n for n, _ in counts.in_trials(LATE)}


def test_long_study_trial_is_two_transactions(night):
    counts, _ = night
    assert {n for _, n in counts.in_trials(range(1, N_TRIALS - 1))} == {2}


def test_long_study_trial_is_compared_once_and_with_the_front_alone(night):
    counts, result = night
    points = objective_points(result, feasible_trials(result))
    directions = directions_of(result)
    assert counts.compared == [1 + int(front_mask(points[:n], directions).sum()) for n in range(len(points))]
    assert max(counts.compared) < len(points) < N_TRIALS


def test_long_study_keeps_none_of_optunas_trials_in_memory(night):
    counts, _ = night
    assert counts.n_optunas[LATE[-1]] <= counts.n_optunas[EARLY[0]]
