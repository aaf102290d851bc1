import json
from dataclasses import replace

import pytest
from fakes import make_observation

from explorer.metrics import Objective
from explorer.views.page.insights import insights

FOUR = (
    Objective("accuracy", "maximize"),
    Objective("latency_ms", "minimize"),
    Objective("cost_usd_per_million", "minimize"),
    Objective("peak_memory_mib", "minimize"),
)


@pytest.fixture
def four(makers):
    """A study of four objectives."""
    result = makers.make_seeded_result(40)
    reference = dict(result.reference_point) | {"peak_memory_mib": 800.0}
    return replace(result, space=replace(result.space, objectives=FOUR), reference_point=reference)


def test_insights_have_the_importance_of_every_objective(makers):
    found = insights(makers.make_seeded_result(60))
    json.dumps(found, allow_nan=False)
    assert found["n_trials"] == 60
    assert [one["metric"] for one in found["importance"]] == ["accuracy", "latency_ms", "cost_usd_per_million"]
    assert all(sum(share["share"] for share in one["shares"]) == pytest.approx(1.0) for one in found["importance"])
    assert found["history"] is None  # the page computes it


def test_insights_of_four_objectives_have_pythons_hypervolume(makers, four):
    history = insights(four)["history"]
    assert history["at"] == list(range(1, 41))
    assert history["is_share"]
    assert history["values"] == pytest.approx(makers.hypervolume_shares(four), rel=1e-5)


def test_insights_of_many_trials_have_the_hypervolume_after_some(makers, four):
    trials = tuple(replace(four.trials[n % 40], number=n) for n in range(400))
    history = insights(replace(four, trials=trials))["history"]
    assert (history["at"][0], history["at"][-1], len(history["at"])) == (1, 400, 60)
    assert history["values"][-1] == pytest.approx(makers.hypervolume_shares(four)[-1], rel=1e-5)
    assert history["values"] == sorted(history["values"])


def test_insights_of_a_front_that_is_too_long_says_so(makers):
    space = makers.make_space(
        objectives=[*FOUR, Objective("artifact_size_mib", "minimize"), Objective("mega_macs", "minimize")]
    )
    names = [objective.metric for objective in space.objectives]
    trials = [makers.make_trial(n, dict.fromkeys(names, 1.0) | {names[1]: n, names[2]: 300.0 - n}) for n in range(300)]
    result = makers.make_result(trials, space, reference_point=dict.fromkeys(names, 400.0) | {"accuracy": 0.1})
    history = insights(result)["history"]
    assert history["values"] == []
    assert "would take minutes" in history["why"]


def test_insights_before_the_baseline_say_what_is_missing(four):
    for result in (replace(four, trials=()), replace(four, reference_point=None)):
        assert insights(result)["history"]["why"].startswith("The curve begins with the baseline")
    assert insights(replace(four, trials=()))["importance"][0]["why"].endswith("and there are 0")


def test_insights_have_the_anchors_history(makers):
    trials = [makers.make_trial(n, {"accuracy": 0.5}, observed=make_observation(1.02)) for n in range(3)]
    found = insights(makers.make_result(trials))["steadiness"]
    assert [one["slowness"] for one in found["readings"]] == [1.02] * 3
    assert "quiet for 80 % of the time" in found["sentence"]
