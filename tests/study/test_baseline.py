"""The baseline beside guessing: said, and warned of where it is no better, wherever a study ends."""

from __future__ import annotations

import math
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import FakeEvaluator, RecordingView, known_metrics, small_space, start

from explorer.errors import NothingFeasible, StudyIncompatible
from explorer.metrics import Constraint, Metric
from explorer.records import Measurement
from explorer.space.input_spec import InputSpec
from explorer.study.baseline import baseline_sentence, guessing_info, pixels_sentence, pixels_text, warnings
from explorer.study.evaluation import Prepared
from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.tasks.classification import Classification
from explorer.tasks.task import Quality, Reference

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))
CLASSES = ["cat", "dog", "emu", "fox"]
PROVENANCE = {
    "task": {"name": "classification", "facts": {"classes": ["cat", "dog", "emu"]}},
    "references": makers.references(0.25, "dog", 0.5),
    "input": {"stated": "unit", "mean": [0.0], "std": [1.0]},
}


def task_of(classes):
    return {"task": {"name": "classification", "facts": {"classes": classes}}}


def study(accuracy, model="nets:make", stated="unit", classes=CLASSES, **provenance):
    """A study of one trial, the baseline."""
    own = model != "slimmable_cnn"
    space = replace(makers.make_space(), model=model, input=InputSpec(stated) if own else None)
    trial = makers.make_trial(0, {"accuracy": accuracy, "latency_ms": 1.0, "cost_usd_per_million": 1.0})
    return makers.make_result([trial], space, provenance=PROVENANCE | task_of(classes) | provenance)


def test_baseline_sentence_has_chance_and_majority_class():
    said = baseline_sentence(study(0.973, classes=list("0123456789"), references=makers.references(0.1, "x", 0.104)))
    assert said == "The baseline's accuracy is 97.3 % (chance 10.0 %, majority class 10.4 %)"


def test_baseline_sentence_without_a_baseline_is_empty():
    empty = makers.make_result([])
    assert (baseline_sentence(empty), warnings(empty), guessing_info(empty)) == ("", (), None)


@pytest.mark.parametrize(
    ("accuracy", "is_warned"),
    [
        (Measurement(0.98, 0.95, 0.99, 100), False),
        (Measurement(0.6, 0.51, 0.7, 100), False),
        (Measurement(0.6, 0.5, 0.7, 100), True),  # as far as its images tell, the majority class is as good
        (Measurement(0.25, 0.2, 0.3, 100), True),
        (Measurement(0.0), True),
        (Measurement(0.51), False),
        (Measurement.unknown("no labels"), False),
    ],
)
def test_warnings_come_where_the_low_end_is_no_better_than_the_majority_class(accuracy, is_warned):
    assert bool(warnings(study(accuracy))) is is_warned


def test_warnings_of_a_metric_that_is_minimized_compare_the_high_end(monkeypatch):
    error = Quality(Metric("mse", "mean squared error", "", "minimize", (0, math.inf), "mean squared error"))
    monkeypatch.setattr(Classification, "qualities", (error,))
    known = [Reference("mean every time", 4.0, "naming the mean every time gives").to_json()]

    def of(error):
        result = study(1.0, references=known)
        (trial,) = result.trials
        outcome = replace(trial.outcome, metrics={"mse": error})
        return replace(result, trials=(replace(trial, outcome=outcome),))

    assert not warnings(of(Measurement(3.0, 2.0, 3.9, 100)))
    (warning,) = warnings(of(Measurement(3.0, 2.0, 4.1, 100)))
    assert "its mean squared error is 3 (95 % interval 2 to 4.1), naming the mean every time gives 4." in warning
    assert baseline_sentence(of(Measurement(3.0))) == ("The baseline's mean squared error is 3 (mean every time 4)")


def test_warnings_without_references_do_not_come():
    assert not warnings(study(0.1, references=[]))


def test_warning_of_an_own_network_names_input_order_and_weights():
    (warning,) = warnings(study(Measurement(0.25, 0.2, 0.3, 100)))
    assert warning.startswith("WARNING: ")
    assert "no better than guessing: its accuracy is 25.0 % (95 % interval 20.0 to 30.0 %), chance is 25.0 %" in warning
    assert "naming the class 'dog' every time gives 50.0 %" in warning
    assert "other pixels than 'input: unit' gives it" in warning
    assert "another order than the data's ('cat', 'dog', 'emu', 'fox')" in warning
    assert "its weights are untrained" in warning


def test_warning_of_a_family_speaks_of_no_input():
    (warning,) = warnings(study(0.25, model="slimmable_cnn"))
    assert "input" not in warning
    assert "not trained long enough" in warning


def test_warning_of_a_class_with_control_characters_prints():
    (warning,) = warnings(
        study(
            0.25,
            references=[{"name": "a\x1b[2J", "value": 0.5, "clause": "a\x1b[2J is"}],
            task={"name": "classification", "facts": {"classes": ["a\x1b[2J", "b"]}},
        )
    )
    assert warning.isprintable()


@pytest.mark.parametrize(
    ("shape", "stated", "text"),
    [
        ((3, 32, 32), "unit", "3 channels, 32 × 32, uint8 0-255, normalized by input: unit"),
        ((1, 24, 48), None, "1 channel, 48 × 24, uint8 0-255, normalized by the mean and std of the training data"),
    ],
)
def test_pixels_text_says_what_the_network_sees(shape, stated, text):
    assert pixels_text(shape, stated) == text
    identity, provenance = {"data": {"input": {"shape": list(shape)}}}, {"input": {"stated": stated}}
    assert pixels_sentence(identity, provenance) == f"images: {text}"


def test_pixels_sentence_of_a_study_that_does_not_know_is_empty():
    assert pixels_sentence({"data": {"fingerprint": "d0"}}, {}) == ""


class Guessing(FakeEvaluator):
    """Classifies as well as who names the majority class; says what images the network sees."""

    def __init__(self, folder):
        super().__init__(folder, metrics=lambda variant: {**known_metrics(variant), "accuracy": 0.5})

    def prepare(self, on_progress):
        identity = {"data": {"input": {"shape": [1, 8, 8]}}}
        return Prepared(identity, {"host": "fake", **PROVENANCE, **task_of(CLASSES)})


def own_space(stated="unit", **known):
    return replace(small_space(**known), model="nets:make", recipe="", input=InputSpec(stated))


def test_study_warns_before_the_second_trial_and_again_where_it_ends(tmp_path):
    view = RecordingView()
    result = start(own_space(n_trials=2), tmp_path, Guessing(tmp_path), view=view)
    (warning,) = warnings(result)
    place = view.events.index("end 0")
    assert view.events[place : place + 4] == ["end 0", "note", "note", "start 1"]
    images = "images: 1 channel, 8 × 8, uint8 0-255, normalized by input: unit"
    beside_guessing = "The baseline's accuracy is 50.0 % (chance 25.0 %, majority class 50.0 %)"
    assert view.notes[:3] == [images, beside_guessing, warning]
    told = front_view(load_result(tmp_path)).to_json()
    assert told["warnings"] == [warning]
    assert told["baseline"] == {
        "accuracy": {"value": 0.5, "low": None, "high": None, "n": None},
        "chance": 0.25,
        "majority_class": 0.5,
    }


def test_study_without_a_feasible_trial_ends_with_the_warning(tmp_path):
    space = own_space(n_trials=2, constraints=[Constraint("accuracy", ">=", 0.9)])
    with pytest.raises(NothingFeasible, match=r"(?s)accuracy >= 0\.9.*\nWARNING: .*no better than guessing"):
        start(space, tmp_path, Guessing(tmp_path))


def test_study_of_another_input_is_incompatible_and_says_what_changed(tmp_path):
    start(own_space(n_trials=2), tmp_path)
    with pytest.raises(StudyIncompatible, match="input: unit -> dataset") as caught:
        start(own_space("dataset", n_trials=2), tmp_path)
    assert caught.value.exit_code == 6
    stated = replace(own_space(n_trials=2), input=InputSpec("", (0.5,), (0.25,)))
    with pytest.raises(StudyIncompatible, match=r"input: unit -> \{mean: \[0\.5\], std: \[0\.25\]\}"):
        start(stated, tmp_path)


@pytest.mark.parametrize("spec", [InputSpec("raw"), InputSpec("", (0.1, 0.2, 0.3), (0.5, 0.5, 1.0))])
def test_study_keeps_its_input(tmp_path, spec):
    start(replace(own_space(n_trials=1), input=spec), tmp_path)
    assert load_result(tmp_path).space.input == spec
