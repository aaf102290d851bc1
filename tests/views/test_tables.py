import io

import pytest
from rich.console import Console

from explorer.records import Measurement
from explorer.study.front import front_summary
from explorer.views.tables import flattened, print_front, print_trial


def printed(function, *arguments, width=140, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    function(Console(file=stream, width=width), *arguments)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.fixture(autouse=True)
def _plain_locale(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_print_front_shows_values_gains_knee_and_baseline(makers):
    result = makers.make_small_result()
    text = printed(print_front, result, front_summary(result))
    knee = next(line for line in text.splitlines() if "★" in line)
    assert "1.00 3.0×" in knee
    assert "90.00 −2.00" in knee
    assert "baseline" in text
    assert "3 on the front of 6 trials: 4 feasible, 1 infeasible, 1 failed." in text


def test_print_front_units_are_not_taken_for_markup(makers):
    result = makers.make_small_result()
    assert "[ms]" in printed(print_front, result, front_summary(result))


@pytest.mark.parametrize("width", [30, 70, 95, 200])
def test_print_front_any_width_fits(makers, width):
    result = makers.make_seeded_result()
    text = printed(print_front, result, front_summary(result), width=width)
    assert all(len(line) <= width for line in text.splitlines())


def test_print_front_ascii_stream_gets_ascii(makers):
    result = makers.make_small_result()
    text = printed(print_front, result, front_summary(result), encoding="ascii")
    assert "* 1" in text
    assert "3.0x" in text


def test_print_front_empty_front_is_shown_as_such(makers):
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    assert "0 on the front of 1 trials" in printed(print_front, result, front_summary(result))


def test_print_trial_shows_units_intervals_counts_and_reasons(makers):
    result = makers.make_seeded_result(8)
    text = printed(print_trial, result, result.trials[0])
    assert "Trial 0 of cifar10-cnn: complete" in text
    assert "5,000" in text
    assert "unknown, because p99 needs 662 queries, 400 were taken" in text
    assert "materialize  0.3 s (cached)" in text
    assert "CIFAR-10 (JPEG)" in text


def test_print_trial_failed_shows_the_reason_without_control_codes(makers):
    result = makers.make_result([makers.make_trial(0, reason="\x1b[2Jgone [red]wrong[/red]")])
    text = printed(print_trial, result, result.trials[0])
    assert "\x1b" not in text
    assert "[red]wrong[/red]" in text


def test_print_trial_infeasible_shows_what_is_broken(makers):
    result = makers.make_small_result()
    text = printed(print_trial, result, result.trials[4])
    assert "broken by 500 MiB" in text


def test_print_trial_unknown_without_reason_is_still_said(makers):
    result = makers.make_result([makers.make_trial(0, {"accuracy": Measurement(None)})])
    assert "unknown, because nobody said why" in printed(print_trial, result, result.trials[0])


def test_flattened_joins_names_by_dots():
    assert flattened({"a": {"b": 1, "c": {"d": 2}}, "e": {}}) == {"a.b": 1, "a.c.d": 2, "e": {}}
