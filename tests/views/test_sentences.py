from dataclasses import replace

import pytest

from explorer.objectives import Objective
from explorer.study.front import front_summary
from explorer.views.sentences import recommendation, weights_sentence


def advice(result):
    return recommendation(result, front_summary(result))


def test_recommendation_names_the_knee_and_what_it_gains(makers):
    first, second = advice(makers.make_small_result())
    assert first.startswith("The knee of the front is trial 1 (width 0.75")
    assert "accuracy 90.00 % (−2.00 points), latency 1.00 ms (3.0× better)" in first
    assert second.startswith("The fastest within one point of the baseline's accuracy is trial 0, the baseline itself")


def test_recommendation_empty_front_says_why(makers):
    (only,) = advice(makers.make_result([makers.make_trial(0, reason="no memory")]))
    assert only == "no trial of 1 has a result that could be on the front (1 failed)"


def test_recommendation_other_objectives_need_no_accuracy(makers):
    space = makers.make_space(objectives=[Objective("artifact_size_mib", "minimize")])
    trials = [makers.make_trial(n, {"artifact_size_mib": size}) for n, size in enumerate((4.0, 8.0, 2.0))]
    (only,) = advice(makers.make_result(trials, space))
    assert "artifact size 2.00 MiB (2.0× better)" in only


def test_recommendation_slower_than_the_baseline_is_not_called_better(makers):
    space = makers.make_space(objectives=[Objective("accuracy", "maximize"), Objective("latency_ms", "minimize")])
    trials = [
        makers.make_trial(0, {"accuracy": 0.5, "latency_ms": 1.0}, violations={"a": 1.0}),
        makers.make_trial(1, {"accuracy": 0.9, "latency_ms": 2.0}),
    ]
    assert "latency 2.00 ms (0.50× as good)" in advice(makers.make_result(trials, space))[0]


CARD = {"family": "slimmable_cnn", "recipe": {"name": "long"}, "seed": 3, "seconds": 4500.0}


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (
            CARD,
            "slimmable_cnn, weights 0123456789ab, trained on the study's own data: recipe long, seed 3, 1 h 15 min.",
        ),
        (
            {**CARD, "sha256": "12", "data": "JPEG"},
            "slimmable_cnn, weights 0123456789ab, shipped with the package: JPEG, recipe long, seed 3, 1 h 15 min.",
        ),
        ({"family": "nets:make"}, "slimmable_cnn, weights 0123456789ab, as its function gives them."),
    ],
)
def test_weights_sentence_says_where_they_come_from(makers, card, sentence):
    provenance = {"weights": {"fingerprint": "0123456789abcdef", "card": card}}
    assert weights_sentence(replace(makers.make_small_result(), provenance=provenance)) == f"Base network: {sentence}"


def test_weights_sentence_of_a_study_that_does_not_tell_is_empty(makers):
    assert weights_sentence(replace(makers.make_small_result(), provenance={})) == ""


def test_recommendation_of_a_confirmed_front_has_confirmed_values(makers):
    result = makers.make_confirmed(makers.make_small_result(), {0: {"latency_ms": 6.0}, 1: {"latency_ms": 1.5}})
    assert "latency 1.50 ms (4.0× better)" in recommendation(result, front_summary(result))[0]
