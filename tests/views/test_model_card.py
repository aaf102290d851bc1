from dataclasses import replace

from explorer.records import Measurement
from explorer.views.model_card import model_card

PROVENANCE = {
    "class_names": ["cat", "dog"],
    "processor": {"name": "a processor"},
    "identity": {
        "data": {"name": "cifar10", "kind": "JPEG tree", "image_shape": [3, 32, 32], "n_test": 10000},
    },
}


def card_of(makers, test=Measurement(0.89, 0.88, 0.9, 10000), objections=(), shares=(0.4, 0.6)):  # noqa: B008
    result = makers.make_small_result(provenance=PROVENANCE)
    trial = result.trial(1)
    outcome = replace(trial.outcome, details={"exit_shares": list(shares)})
    return model_card(
        result, replace(trial, outcome=outcome), "made-up-trial-1", "the knee of the front", objections, test
    )


def test_model_card_says_what_it_is_and_how_it_was_chosen(makers):
    text = card_of(makers)
    assert text.startswith("# made-up-trial-1\n")
    assert "An image classifier of 2 classes (cat, dog)" in text
    assert "chosen as the knee of the front" in text
    assert "| accuracy | 90.00 % |" in text
    assert "Accuracy on the 10,000 test images, which chose nothing: 89.00 % (95 % interval 88.00–90.00)." in text
    assert "40% at exit 1, 60% at the final head" in text
    assert "(front.svg)" in text


def test_model_card_unknown_test_accuracy_says_why(makers):
    assert "not known (no data)" in card_of(makers, Measurement.unknown("no data"))


def test_model_card_objection_stands_at_the_top(makers):
    head = card_of(makers, objections=("is dominated by other trials",)).partition("## What was measured")[0]
    assert "**It is dominated by other trials.**" in head


def test_model_card_of_a_network_with_one_exit_says_nothing_of_exits(makers):
    assert "at the final head" not in card_of(makers, shares=(1.0,))


def confirmed_card(makers, number, **known):
    result = makers.make_confirmed(makers.make_small_result(provenance=PROVENANCE), {1: {"latency_ms": 1.2}}, **known)
    trial = result.trial(number)
    trial = replace(trial, outcome=replace(trial.outcome, details={"exit_shares": [1.0]}))
    return model_card(result, trial, "made-up", "the knee", (), Measurement(0.89, n=10))


def test_model_card_of_a_confirmed_trial_has_confirmed_values_and_says_so(makers):
    text = confirmed_card(makers, 1)
    assert "| latency | 1.20 ms |" in text
    assert "The values are confirmed: medians over 5 rounds" in text
    assert "The probability that it is on the front is 100 %." in text


def test_model_card_of_a_trial_that_is_not_confirmed_says_so(makers):
    assert "not confirmed: it is no finalist" in confirmed_card(makers, 3, finalists=[0, 1])
    assert "not confirmed: 5 of 5 rounds gave no valid measurement" in confirmed_card(makers, 1, invalid=[1])
    assert "they are not confirmed" in card_of(makers)
