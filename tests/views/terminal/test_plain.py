import io
from dataclasses import replace

import pytest

from explorer.records import Progress
from explorer.views.terminal.plain import PlainView, QuietView


@pytest.fixture(autouse=True)
def _plain_locale(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def watch(view, result, clock):
    """Tell `view` the whole study."""
    for index, trial in enumerate(result.trials):
        view.on_trial_start(trial.number, trial.variant)
        clock.now += 2.0
        view.on_trial_end(trial, replace(result, trials=result.trials[: index + 1]))
    view.close()


def test_plain_view_study_is_one_line_a_trial_and_one_at_the_end(makers, clock):
    stream, result = io.StringIO(), makers.make_small_result()
    watch(PlainView(result.space, stream, clock), result, clock)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 7
    assert lines[1].startswith("trial 1 (2/60): accuracy 90.00 % (−2.00) · latency 1.00 ms (3.0×)")
    assert lines[1].endswith("on the front · about 1 min 56 s left")
    assert "infeasible: not peak_memory_mib <= 1000" in lines[4]
    assert "failed, signal SIGSEGV in measure" in lines[5]
    assert lines[6].startswith(
        "6 trials in 12 s: 4 feasible, 1 infeasible, 1 failed, 0 from the cache · 3 on the front"
    )


def test_plain_view_never_writes_control_codes(makers, clock):
    stream = io.StringIO()
    result = makers.make_result([makers.make_trial(0, reason="\x1b[31mred\r\nlines")])
    view = PlainView(result.space, stream, clock)
    view.on_note("a\x1b]0;title\x07b")
    view.on_progress(Progress("train\x1b[2J", 1, 2))
    watch(view, result, clock)
    assert all(char.isprintable() or char == "\n" for char in stream.getvalue())


def test_plain_view_progress_is_rare(makers, clock):
    stream = io.StringIO()
    view = PlainView(makers.make_space(), stream, clock)
    for step in range(100):
        view.on_progress(Progress("train", step, 100, f"epoch {step}"))
        clock.now += 0.25
    lines = stream.getvalue().splitlines()
    assert lines == [
        "train: 0 % · epoch 0",
        "train: 40 % · about 15 s left · epoch 40",
        "train: 80 % · about 5.0 s left · epoch 80",
    ]


def test_plain_view_progress_inside_a_short_trial_is_silent(makers, clock):
    stream, result = io.StringIO(), makers.make_small_result()
    view = PlainView(result.space, stream, clock)
    view.on_trial_start(0, result.trials[0].variant)
    view.on_progress(Progress("export"))
    view.on_progress(Progress("measure", 1, 4))
    assert stream.getvalue() == ""


def test_plain_view_ascii_stream_gets_ascii(makers, clock):
    raw = io.BytesIO()
    result = makers.make_small_result()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    watch(PlainView(result.space, stream, clock), result, clock)
    stream.flush()
    assert b"(3.0x)" in raw.getvalue()
    assert b"?" not in raw.getvalue()


def test_plain_view_closed_twice_sums_up_once(makers, clock):
    stream, result = io.StringIO(), makers.make_small_result()
    view = PlainView(result.space, stream, clock)
    watch(view, result, clock)
    view.close()
    assert stream.getvalue().count("6 trials in") == 1


def test_quiet_view_says_nothing_but_errors(makers, clock):
    stream, result = io.StringIO(), makers.make_small_result()
    view = QuietView(stream)
    view.on_progress(Progress("train", 1, 2))
    view.on_note("by the way")
    view.on_note("the disk is full", is_error=True)
    watch(view, result, clock)
    assert stream.getvalue() == "the disk is full\n"
