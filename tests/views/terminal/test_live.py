import io
from dataclasses import replace

import pytest
from rich.console import Console

from explorer.records import Progress
from explorer.views.terminal.live import LiveView, make_view
from explorer.views.terminal.plain import PlainView, QuietView


class Terminal(io.StringIO):
    """A terminal that remembers; `breaks` makes it hang up."""

    breaks = False
    encoding = "utf-8"

    def isatty(self):
        return True

    def write(self, text):
        if self.breaks:
            raise BrokenPipeError
        return super().write(text)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


def watch(view, result, clock, n_trials=None):
    """Tell `view` the first trials of a study."""
    for index, trial in enumerate(result.trials[:n_trials]):
        view.on_trial_start(trial.number, trial.variant)
        clock.now += 2.0
        view.on_trial_end(trial, replace(result, trials=result.trials[: index + 1]))


def drawn(view, width=100):
    """What the screen shows now, without control codes."""
    console = Console(file=io.StringIO(), width=width, markup=False)
    console.print(view.frame())
    return console.file.getvalue()


def test_frame_in_the_middle_has_counts_front_bests_and_failures(makers, clock):
    result = makers.make_small_result()
    view = LiveView(result.space, Terminal(), clock)
    watch(view, result, clock)
    view.on_trial_start(6, result.trials[4].variant)
    view.on_progress(Progress("measure latency", 0, 400))
    clock.now += 5.0
    view.on_progress(Progress("measure latency", 100, 400, "query 100"))
    text = drawn(view)
    view.close()
    assert "6 of 60 trials · 4 feasible, 1 infeasible, 1 failed · 0 cached" in text
    assert "about 1 min" in text
    assert "trial 6  width 0.25 · pruning 0 · static_int8 · onnxruntime · exit 1" in text
    assert "measure latency" in text
    assert "25 %  about 15 s left  query 100" in text
    assert "front  3 variants · hypervolume" in text
    assert "latency   0.500 ms             6.0×   3.00 ms" in text
    assert "trial 5: signal SIGSEGV in measure" in text


def test_frame_before_the_first_trial_shows_the_stage(makers, clock):
    view = LiveView(makers.make_space(), Terminal(), clock)
    view.on_progress(Progress("decode images", note="train"))
    text = drawn(view)
    view.close()
    assert "0 of 60 trials" in text
    assert "decode images" in text


def test_frame_nothing_feasible_says_so(makers, clock):
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    view = LiveView(result.space, Terminal(), clock)
    watch(view, result, clock)
    text = drawn(view)
    view.close()
    assert "none feasible yet" in text
    assert "front  0 variants" in text


@pytest.mark.parametrize("width", [20, 40, 200])
def test_frame_any_width_fits(makers, clock, width):
    result = makers.make_seeded_result(20)
    view = LiveView(result.space, Terminal(), clock)
    watch(view, result, clock)
    lines = drawn(view, width).splitlines()
    view.close()
    assert all(len(line) <= width for line in lines)


def test_live_view_draws_at_most_four_times_a_second(makers, clock):
    terminal = Terminal()
    view = LiveView(makers.make_space(), terminal, clock)
    for step in range(1000):
        view.on_progress(Progress("train", step, 1000))
        clock.now += 0.01
    n_frames = terminal.getvalue().count("of 60 trials")
    view.close()
    # One frame more comes from starting the display.
    assert n_frames <= 10 / 0.25 + 2


def test_live_view_closed_leaves_one_line_and_a_usable_terminal(makers, clock):
    terminal, result = Terminal(), makers.make_small_result()
    view = LiveView(result.space, terminal, clock)
    watch(view, result, clock)
    view.close()
    view.close()
    view.on_progress(Progress("late", 1, 2))
    text = terminal.getvalue()
    assert text.count("6 trials in 12 s") == 1
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_live_view_terminal_that_hangs_up_does_not_end_the_study(makers, clock):
    terminal, result = Terminal(), makers.make_small_result()
    view = LiveView(result.space, terminal, clock)
    watch(view, result, clock, 2)
    terminal.breaks = True
    watch(view, result, clock)
    shown = terminal.getvalue()
    view.on_note("nobody reads this", is_error=True)
    view.close()
    assert terminal.getvalue() == shown
    assert view.frame() is not None


def test_live_view_note_keeps_control_codes_away(makers, clock):
    terminal = Terminal()
    view = LiveView(makers.make_space(), terminal, clock)
    view.on_note("\x1b]0;owned\x07 [bold]text[/bold]")
    view.close()
    assert "\x1b]0;" not in terminal.getvalue()
    assert "[bold]text[/bold]" in terminal.getvalue()


@pytest.mark.parametrize(
    ("stream", "term", "is_quiet", "kind"),
    [
        (Terminal(), "xterm", False, LiveView),
        (Terminal(), "dumb", False, PlainView),
        (io.StringIO(), "xterm", False, PlainView),
        (Terminal(), "xterm", True, QuietView),
    ],
)
def test_make_view_suits_the_stream(makers, monkeypatch, stream, term, is_quiet, kind):
    monkeypatch.setenv("TERM", term)
    assert isinstance(make_view(makers.make_space(), stream, is_quiet), kind)


def test_frame_while_finalists_are_measured_again_has_the_round_whatever_the_stage(makers, clock):
    view = LiveView(makers.make_space(), Terminal(), clock)
    view.on_progress(Progress("confirm", 3, 10, "round 2, trial 7"))
    view.on_progress(Progress("measure latency"))
    text = drawn(view)
    assert "measuring the finalists again: round 2, trial 7" in text
    assert "measure latency" in text
    view.on_confirmed(makers.make_small_result())
    assert "again" not in drawn(view)
    view.close()
