import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeEvaluator, small_space, some_hits, start

from explorer.records import Measurement
from explorer.study.confirm.finalists import MAX_FINALISTS, select_finalists, validation_scores

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "views" / "makers.py")))


def row(accuracy, latency):
    half = 0.01
    return {
        "accuracy": Measurement(accuracy, accuracy - half, accuracy + half, 5000),
        "latency_ms": latency,
        "cost_usd_per_million": latency / 50,
    }


def numbers(trials):
    selection = select_finalists(makers.make_result(trials), 0)
    return [finalist.trial for finalist in selection.finalists], selection.left_out


def test_finalists_are_what_may_belong_and_the_baseline():
    trials = [
        makers.make_trial(0, row(0.80, 9.0)),  # dominated by far
        makers.make_trial(1, row(0.90, 1.0)),
        makers.make_trial(2, row(0.90, 1.02)),  # within the noise between processes
        makers.make_trial(3, row(0.89, 1.5)),  # slower by far, and hardly more accurate at best
        makers.make_trial(4, row(0.95, 3.0)),
    ]
    assert numbers(trials)[0][0] == 0
    assert {1, 2, 4} <= set(numbers(trials)[0])
    slower = [*trials[:3], makers.make_trial(3, row(0.80, 1.5)), trials[4]]
    assert set(numbers(slower)[0]) == {0, 1, 2, 4}


def test_finalists_infeasible_and_invalid_trials_are_none():
    trials = list(makers.make_small_result().trials)
    trials[1] = replace(trials[1], state="invalid")
    found, _ = numbers(trials)
    assert found[0] == 0
    assert set(found) == {0, 2, 3}


def test_finalists_beside_the_searchs_front_are_limited_and_those_left_out_are_named():
    on_it = [makers.make_trial(n, row(0.5 + 0.01 * n, 1.0 + n)) for n in range(12)]
    beside = [makers.make_trial(12 + n, row(0.5 + 0.01 * n, 1.005 * (1.0 + n))) for n in range(12)]
    found, left_out = numbers([*on_it, *beside])
    assert len(found) == MAX_FINALISTS + 1
    assert set(range(12)) <= set(found)
    assert sorted([*found, *left_out]) == list(range(24))


def test_finalists_have_the_searchs_whole_front_however_large():
    trials = [makers.make_trial(n, row(0.5 + 0.01 * n, 1.0 + n)) for n in range(MAX_FINALISTS + 6)]
    found, left_out = numbers([*trials, makers.make_trial(MAX_FINALISTS + 6, row(0.5, 1.005))])
    assert sorted(found) == [trial.number for trial in trials]
    assert left_out == (MAX_FINALISTS + 6,)


def test_finalists_have_a_member_of_the_searchs_front_that_is_hardly_likely_to_stay():
    trials = [makers.make_trial(n, {**row(0.9, 1.0 + 1e-4 * n), "accuracy": Measurement(0.9)}) for n in range(300)]
    reversed_numbers = [replace(trial, number=300 - trial.number) for trial in trials]
    assert numbers(reversed_numbers)[0][0] == 300


def test_finalists_of_a_study_without_trials_are_none():
    assert numbers([]) == ([], ())


@pytest.fixture
def study(tmp_path):
    return start(small_space(n_trials=3), tmp_path, FakeEvaluator(tmp_path, hits=some_hits))


def test_validation_scores_are_the_stored_ones(study):
    for trial in study.trials:
        assert np.array_equal(validation_scores(study, trial)["accuracy"], some_hits(trial.variant))


def test_validation_scores_that_do_not_give_the_quality_are_left_out(study):
    trial = study.trials[1]
    other = replace(trial.outcome, metrics={**trial.outcome.metrics, "accuracy": Measurement(0.123)})
    assert validation_scores(study, replace(trial, outcome=other)) == {}


def test_validation_scores_of_a_trial_without_samples_are_none(study):
    shutil.rmtree(study.folder / "artifacts")
    assert validation_scores(study, study.trials[1]) == {}
