import io
from dataclasses import replace

import pytest
from rich.console import Console

from explorer.study.front import front_view
from explorer.views.formatting import share_text
from explorer.views.terminal.tables import print_front


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
    text = printed(print_front, front_view(result))
    knee = next(line for line in text.splitlines() if "★" in line)
    assert "1.00 3.0×" in knee
    assert "90.00 −2.00" in knee
    assert "baseline" in text
    assert "3 on the front of 6 trials: 4 feasible, 1 infeasible, 1 failed." in text


def test_print_front_has_the_baseline_beside_guessing_and_a_warning_where_it_is_no_better(makers):
    result = makers.make_small_result()
    text = printed(print_front, front_view(result), width=2000)
    assert "The baseline's accuracy is 92.0 % (chance 10.0 %)." in text
    assert "WARNING" not in text
    result = makers.make_small_result(provenance={"references": makers.references(0.1, "cat", 0.92)})
    text = printed(print_front, front_view(result), width=2000)
    assert "(chance 10.0 %, majority class 92.0 %)." in text
    assert "WARNING: as far as the validation images tell, the baseline is no better than guessing" in text


def test_print_front_units_are_not_taken_for_markup(makers):
    result = makers.make_small_result()
    assert "[ms]" in printed(print_front, front_view(result))


@pytest.mark.parametrize("width", [30, 70, 95, 200])
def test_print_front_any_width_fits(makers, width):
    result = makers.make_seeded_result()
    text = printed(print_front, front_view(result), width=width)
    assert all(len(line) <= width for line in text.splitlines())


def test_print_front_ascii_stream_gets_ascii(makers):
    result = makers.make_small_result()
    text = printed(print_front, front_view(result), encoding="ascii")
    assert "* 1" in text
    assert "3.0x" in text


def test_print_front_empty_front_is_shown_as_such(makers):
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    assert "0 on the front of 1 trials" in printed(print_front, front_view(result))


@pytest.mark.parametrize("width", [30, 70, 95, 110, 200])
def test_print_front_confirmed_shows_probability_ties_and_what_is_near(makers, width):
    result = makers.make_near_result()
    summary = front_view(result)
    text = printed(print_front, summary, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert ("test" in text and "89.00" in text) == (width >= 95)
    if width >= 70:
        on_it, near, baseline = (
            next(line for line in text.splitlines() if line.strip().startswith(mark)) for mark in ("★ 2", "1 ", "base")
        )
        assert share_text(summary.entries[0].probability) in on_it
        assert share_text(summary.near[0].probability) in near
        assert text.index(on_it) < text.index(near) < text.index(baseline)
        assert "= 1" in text[text.index(on_it) : text.index(near)]
        assert "= 2" in text[text.index(near) : text.index(baseline)]


def test_print_front_finalist_that_is_not_confirmed_is_named_with_the_reason(makers):
    result = makers.make_confirmed(makers.make_small_result(), invalid=[2])
    text = printed(print_front, front_view(result))
    assert "Trial 2 is not confirmed: 5 of 5 rounds gave no valid measurement" in text


@pytest.mark.parametrize(
    ("left_out", "sentence"),
    [
        ((), ""),
        ((3,), "1 more trial may belong to the front and was not measured again: trial 3."),
        ((1, 3), "2 more trials may belong to the front and were not measured again: trials 1, 3."),
    ],
)
def test_print_front_names_the_trials_that_were_too_many_to_measure_again(makers, left_out, sentence):
    result = makers.make_confirmed(makers.make_small_result(), finalists=[0, 2])
    result = replace(result, confirmation=replace(result.confirmation, left_out=left_out))
    text = printed(print_front, front_view(result))
    assert sentence in text
    assert ("more trial" in text) == bool(left_out)


def test_print_front_confirmed_baseline_has_confirmed_values(makers):
    result = makers.make_confirmed(makers.make_small_result(), {0: {"latency_ms": 4.0}})
    text = printed(print_front, front_view(result))
    assert "4.00" in next(line for line in text.splitlines() if line.strip().startswith("baseline"))
    assert "1.00 4.0×" in text
