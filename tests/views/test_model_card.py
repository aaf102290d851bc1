from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fakes import make_build_facts, make_observation
from rich.console import Console

from explorer.observation import Exit
from explorer.records import Measurement
from explorer.study.front import front_view
from explorer.views.model_card import model_card, neighbor_text, print_choice


def chosen(result, trial, how, objections=()):
    return SimpleNamespace(trial=trial, how=how, objections=objections, front=front_view(result))


def test_neighbor_text_says_more_and_less_in_the_metrics_units():
    differences = {"accuracy": 0.0075, "latency_ms": -0.25, "cost_usd_per_million": 0.0}
    assert neighbor_text(7, differences) == (
        "trial 7 instead: 0.75 points more accuracy, 0.250 ms less latency, the same cost"
    )


def test_print_choice_says_what_why_and_what_else(makers):
    result = makers.make_small_result()
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    print_choice(
        console,
        chosen(result, result.trial(3), "trial 3, by its number", ["is dominated by other trials"]),
        [(1, {"accuracy": 0.05})],
    )
    first, objection, variant, numbers, neighbor = stream.getvalue().splitlines()
    assert first == "Trial 3 of made-up: trial 3, by its number"
    assert objection.strip() == "it is dominated by other trials"
    assert "width 0.25" in variant
    assert "accuracy 85.00 %" in numbers
    assert neighbor.strip() == "trial 1 instead: 5.00 points more accuracy"


IMAGES = {"name": "images", "dtype": "uint8", "shape": [3, 32, 32]}
PROVENANCE = {
    "task": {"name": "classification", "facts": {"classes": ["cat", "dog"]}},
    "processor": {"name": "a processor"},
    "identity": {
        "data": {
            "name": "cifar10",
            "kind": "JPEG tree",
            "input": {"name": "images", "dtype": "uint8", "shape": [3, 32, 32]},
            "n_test": 10000,
        },
    },
}


def card_of(
    makers,
    test=Measurement(0.89, 0.88, 0.9, 10000),  # noqa: B008
    objections=(),
    shares=(0.4, 0.6),
    provenance=PROVENANCE,
    **build,
):
    result = makers.make_small_result(provenance=provenance)
    trial = result.trial(1)
    exits = tuple(Exit(share, None, None) for share in shares)
    outcome = replace(trial.outcome, observed=make_observation(exits=exits, build=make_build_facts(**build)))
    one = chosen(result, replace(trial, outcome=outcome), "the knee of the front", objections)
    return model_card(one, "made-up-trial-1", test)


def test_model_card_says_what_it_is_and_how_it_was_chosen(makers):
    text = card_of(makers)
    assert text.startswith("# made-up-trial-1\n")
    assert "An image classifier of 2 classes (cat, dog)" in text
    assert "chosen as the knee of the front" in text
    assert "| accuracy | 90.00 % |" in text
    assert "Accuracy on the 10,000 test images, which chose nothing: 89.00 % (95 % interval 88.00–90.00)." in text
    assert "40% at exit 1, 60% at the final head" in text
    assert "(front.svg)" in text


def test_model_card_says_what_the_model_does_to_pixels_first(makers):
    known = {"input": {"stated": "unit", "mean": [0.0] * 3, "std": [1.0] * 3}}
    text = card_of(makers, provenance=PROVENANCE | known)
    assert "It takes raw images: 3 channels, 32 × 32, uint8 0-255, normalized by input: unit." in text
    assert "(pixel / 255 - mean) / std, with mean [0.0, 0.0, 0.0] and std [1.0, 1.0, 1.0]" in text
    assert "It takes raw images" not in card_of(makers)


def test_model_card_has_the_baseline_beside_guessing(makers):
    known = {"references": makers.references(0.1, "cat", 0.95)}
    text = card_of(makers, provenance=PROVENANCE | known)
    assert "The baseline's accuracy is 92.0 % (chance 10.0 %, majority class 95.0 %)." in text
    assert "WARNING: as far as the validation images tell, the baseline is no better than guessing" in text


def test_model_card_numbers_are_the_senders_word_until_they_are_verified(makers):
    text = " ".join(card_of(makers).split())
    assert "These numbers, and the files, are the word of whoever gave them to you until they are verified" in text


def test_model_card_unknown_test_accuracy_says_why(makers):
    assert "not known (no data)" in card_of(makers, Measurement.unknown("no data"))


def test_model_card_objection_stands_at_the_top(makers):
    head = card_of(makers, objections=("is dominated by other trials",)).partition("## What was measured")[0]
    assert "**It is dominated by other trials.**" in head


def test_model_card_of_a_network_with_one_exit_says_nothing_of_exits(makers):
    assert "at the final head" not in card_of(makers, shares=(1.0,))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        ({"int8_range": "full range"}, "of full range (8 bits), for processors with int8 dot products"),
        ({"int8_range": "reduced range"}, "of reduced range (7 bits), because the processor"),
    ],
)
def test_model_card_says_for_which_processors_int8_weights_are(makers, build, words):
    assert words in card_of(makers, **build).partition("## The variant")[2]


@pytest.mark.parametrize("build", [{}, {"int8_range": "odd"}])
def test_model_card_without_a_known_range_says_nothing_of_it(makers, build):
    assert "int8 weights" not in card_of(makers, **build)


def confirmed_card(makers, number, **known):
    result = makers.make_confirmed(makers.make_small_result(provenance=PROVENANCE), {1: {"latency_ms": 1.2}}, **known)
    trial = result.trial(number)
    trial = replace(trial, outcome=replace(trial.outcome, observed=make_observation()))
    return model_card(chosen(result, trial, "the knee"), "made-up", Measurement(0.89, n=10))


def test_model_card_of_a_confirmed_trial_has_confirmed_values_and_says_so(makers):
    text = confirmed_card(makers, 1)
    assert "| latency | 1.20 ms |" in text
    assert "The values are confirmed: medians over 5 rounds" in text
    assert "The probability that it is on the front is 100 %." in text


def test_model_card_of_a_trial_that_is_not_confirmed_says_so(makers):
    assert "not confirmed: it is no finalist" in confirmed_card(makers, 3, finalists=[0, 1])
    assert "not confirmed: 5 of 5 rounds gave no valid measurement" in confirmed_card(makers, 1, invalid=[1])
    assert "they are not confirmed" in card_of(makers)
