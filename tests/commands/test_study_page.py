import runpy
from pathlib import Path
from types import SimpleNamespace

from explorer.commands.dashboard import BothViews
from explorer.records import Progress, Variant

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))


class Told:
    def __init__(self, log, name):
        self._log, self._name = log, name

    def __getattr__(self, event):
        return lambda *values: self._log.append((self._name, event, *values))


def test_both_views_are_told_everything_in_order():
    log = []
    both = BothViews(Told(log, 1), Told(log, 2))
    result = makers.make_small_result()
    calls = [
        ("on_note", "hello", True),
        ("on_progress", Progress("train")),
        ("on_trial_start", 0, Variant()),
        ("on_trial_end", result.trials[0], result),
        ("close",),
    ]
    for name, *values in calls:
        getattr(both, name)(*values)
    assert log == [(view, *call) for call in calls for view in (1, 2)]


def test_beginning_is_told_once_and_not_by_a_note():
    log, begun = [], []
    both = BothViews(Told(log, 1), Told(log, 2), lambda: begun.append(len(log)))
    both.on_note("took the study over")
    both.on_progress(Progress("data"))
    both.on_trial_start(0, Variant())
    assert begun == [2]  # after the note, before anything else


def test_beginning_may_be_a_trial():
    begun = []
    BothViews(Told([], 1), Told([], 2), lambda: begun.append(1)).on_trial_start(3, Variant())
    assert begun == [1]
