import io

import pytest
from fakes import GAP, make_observation
from rich.console import Console

from explorer.records import Measurement
from explorer.study.front import front_view
from explorer.views.terminal.trial_sheet import flattened, print_trial


def printed(function, *arguments, width=140, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    function(Console(file=stream, width=width), *arguments)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.fixture(autouse=True)
def _plain_locale(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_print_trial_shows_units_intervals_counts_and_reasons(makers):
    result = makers.make_seeded_result(8)
    text = printed(print_trial, front_view(result), result.trials[0])
    assert "Trial 0 of cifar10-cnn: complete" in text
    assert "5,000" in text
    assert "unknown, because p99 needs 662 queries, 400 were taken" in text
    assert "materialize  0.3 s (cached)" in text
    assert "CIFAR-10 (JPEG)" in text


def test_print_trial_baseline_stands_beside_guessing_and_no_other_does(makers):
    provenance = {
        "references": makers.references(0.1, "cat", 0.92),
        "input": {"stated": "unit", "mean": [0.0], "std": [1.0]},
        "identity": {"data": {"input": {"name": "images", "shape": [1, 8, 8]}}},
    }
    result = makers.make_small_result(provenance=provenance)
    text = printed(print_trial, front_view(result), result.trials[0], width=2000)
    assert "The baseline's accuracy is 92.0 % (chance 10.0 %, majority class 92.0 %)." in text
    assert "Images: 1 channel, 8 × 8, uint8 0-255, normalized by input: unit." in text
    assert "WARNING" in text
    assert "chance" not in printed(print_trial, front_view(result), result.trials[1], width=2000)


def test_print_trial_failed_shows_the_reason_without_control_codes(makers):
    result = makers.make_result([makers.make_trial(0, reason="\x1b[2Jgone [red]wrong[/red]")])
    text = printed(print_trial, front_view(result), result.trials[0])
    assert "\x1b" not in text
    assert "[red]wrong[/red]" in text


def test_print_trial_infeasible_shows_what_is_broken(makers):
    result = makers.make_small_result()
    text = printed(print_trial, front_view(result), result.trials[4])
    assert "broken by 500 MiB" in text


def test_print_trial_unknown_without_reason_is_still_said(makers):
    result = makers.make_result([makers.make_trial(0, {"accuracy": Measurement(None)})])
    assert "unknown, because nobody said why" in printed(print_trial, front_view(result), result.trials[0])


def test_flattened_joins_names_by_dots():
    assert flattened({"a": {"b": 1, "c": {"d": 2}}, "e": {}}) == {"a.b": 1, "a.c.d": 2, "e": {}}


def test_print_trial_confirmed_values_stand_beside_the_searchs(makers):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": (1.1, 1.2, 1.3, 1.2, 1.2)}})
    text = printed(print_trial, front_view(result), result.trial(1))
    row = next(line for line in text.splitlines() if line.strip().startswith("latency"))
    assert row.split()[1:3] == ["1.20", "ms"]
    assert row.split()[4:7] == ["5", "1.00", "ms"]
    assert "accuracy on the test split, which chose nothing  89.00 %" in text
    assert "100 %" in next(line for line in text.splitlines() if "on the front with a probability" in line)


def test_print_trial_invalid_says_so_loudly(makers):
    result = makers.make_near_result()
    text = printed(print_trial, front_view(result), result.trial(3))
    assert text.splitlines()[:2] == ["Trial 3 of made-up: invalid", f"INVALID: {GAP.sentence}"]


def test_print_trial_finalist_that_is_not_confirmed_says_why(makers):
    result = makers.make_confirmed(makers.make_small_result(), invalid=[2])
    text = printed(print_trial, front_view(result), result.trial(2))
    assert "NOT confirmed" in text
    assert "5 of 5 rounds gave no valid measurement" in text


def test_print_trial_shows_how_it_was_measured(makers):
    result = makers.make_result([makers.make_trial(0, {"accuracy": 0.5}, observed=make_observation())])
    text = printed(print_trial, front_view(result), result.trials[0])
    assert "first answer  2.5 ms" in text
    assert "cold_start_ms" not in text
