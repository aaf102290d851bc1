"""The made-up large study that tests and benchmarks use."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

from explorer.study.front import front_view
from explorer.study.read import load_result


@pytest.fixture(scope="module")
def large() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "large_study.py")))


def test_large_result_follows_from_its_seed(large):
    assert large.large_result(50, seed=3) == large.large_result(50, seed=3)
    assert large.large_result(50, seed=3) != large.large_result(50, seed=4)


def test_large_result_has_every_state_and_a_front(large):
    summary = front_view(large.large_result(500))
    assert min(summary.counts["complete"], summary.counts["infeasible"], summary.counts["failed"]) > 5
    assert len(summary.entries) > 5
    assert summary.knee is not None
    assert 0 < summary.hypervolume_ratio < 1


@pytest.mark.parametrize("n_trials", [0, 1])
def test_large_result_of_few_trials_is_a_study(large, n_trials):
    result = large.large_result(n_trials)
    assert len(result.trials) == n_trials
    assert (result.baseline is not None) == (n_trials > 0)


def test_write_large_study_is_read_as_any_study(large, tmp_path):
    written = large.write_large_study(tmp_path / "big", 40)
    read = load_result(tmp_path / "big")
    assert read.trials == written.trials
    assert read.space == written.space
    assert read.reference_point == written.reference_point
    assert read.name == "big"


def test_write_large_study_opens_in_optuna(large, tmp_path):
    written = large.write_large_study(tmp_path / "big", 30)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/big/study.db")
    study = optuna.load_study(study_name="big", storage=storage)
    n_failed = sum(trial.state == "failed" for trial in written.trials)
    trials = study.get_trials(deepcopy=False)
    storage.engine.dispose()
    assert len(trials) == 30
    assert sum(trial.state == optuna.trial.TrialState.FAIL for trial in trials) == n_failed
    assert trials[0].values == [written.trials[0].values()[o.metric] for o in written.objectives]


def test_write_large_study_replaces_nothing(large, tmp_path):
    with pytest.raises(FileExistsError, match=str(tmp_path)):
        large.write_large_study(tmp_path, 1)
