"""A task of another package: found, checked, prepared, built, recovered after pruning, and scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.build.builder import Builder
from explorer.data.source import check_task
from explorer.deploy.study_data import data_at_hand, quality_on_test
from explorer.errors import SpaceError, UsageError
from explorer.metrics import METRICS
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.expressions import parse_constraint
from explorer.space.read import parse_space
from explorer.space.values import SearchSpace, default_calibration
from explorer.space.write import dump_space
from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.study.vocabulary import vocabulary
from explorer.tasks.task import TASKS, Examples, task_named

SPACE = """\
name: regression
task: diabetes
model: diabetes_task:least_squares
data: {name: diabetes, validation: 60, calibration: 32}
objectives: {mse: minimize, latency_ms: minimize}
constraints: [r2 >= 0.2]
"""


class Answers:
    """What a builder answers."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.failures: list[tuple[Any, ...]] = []
        self.notes: list[str] = []

    def phase(self, name: str) -> None:
        """Ignore the phase."""

    def progress(self, values: dict[str, Any]) -> None:
        self.notes.append(values["note"])

    def result(self, values: dict[str, Any]) -> None:
        self.results.append(values)

    def failure(self, *words: Any) -> None:
        self.failures.append(words)


@pytest.fixture
def space(package) -> SearchSpace:
    return parse_space(SPACE, vocabulary())


def prepared(space: SearchSpace, model: str, recovery_steps: int = 0) -> tuple[Builder, Answers, dict[str, Any]]:
    """A builder that has prepared the data and the network, its answers, and the last of them."""
    builder, answers = Builder(), Answers()
    data = {"name": space.data.name, "validation": space.data.validation, "calibration": space.data.calibration}
    settings = {"recipe": "", "is_shipped": False, "recovery_steps": recovery_steps, "input": None, "root": None}
    builder.handle({"op": "prepare", "task": space.task, "model": model, "data": data, **settings}, answers)
    assert answers.failures == []
    return builder, answers, answers.results[-1]


def built(builder: Builder, answers: Answers, variant: Variant, folder: Path) -> Artifact:
    builder.handle({"op": "build", "variant": variant.to_json(), "artifacts": str(folder)}, answers)
    assert answers.failures == []
    return Artifact.read(folder / answers.results[-1]["artifact"])


def test_plugin_is_registered_with_its_metrics_and_its_data(package):
    assert "diabetes" in TASKS
    assert METRICS["r2"].ideal == 1.0
    assert METRICS["mse"].ideal == 0.0
    assert "diabetes" in vocabulary().datasets


def test_plugin_space_needs_no_input_and_is_written_with_its_task(space):
    assert (space.task, space.input) == ("diabetes", None)
    assert parse_space(dump_space(space), vocabulary()) == space


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("task: diabetes", "task: diabetis"), "a task.*diabetes"),
        (
            ("mse: minimize", "accuracy: maximize"),
            "'accuracy' is a metric of another task than diabetes, which has",
        ),
        (("[r2 >= 0.2]", "[accuracy >= 0.2]"), "'accuracy' is a metric of another task than diabetes"),
        (("diabetes_task:least_squares", "slimmable_cnn"), "slimmable_cnn cannot be trained for the task diabetes"),
        (("model:", "input: unit\nmodel:"), "the inputs of the task diabetes have no pixels"),
    ],
)
def test_plugin_space_of_another_task_is_refused(package, change, says):
    with pytest.raises(SpaceError, match=says):
        parse_space(SPACE.replace(*change), vocabulary())


@pytest.mark.parametrize(
    ("dataset", "task", "why"),
    [
        ("digits", "diabetes", "its inputs are images, and those of the task are not"),
        ("diabetes", "classification", "it is of the task diabetes"),
    ],
)
def test_plugin_check_names_data_that_are_not_for_the_task(package, dataset, task, why):
    with pytest.raises(UsageError, match=f"the data set {dataset} is not for the task {task}: {why}"):
        check_task(dataset, task_named(task))
    check_task("diabetes", task_named("diabetes"))
    check_task("digits", task_named("classification"))


def test_plugin_data_for_another_task_are_refused(space):
    builder, answers = Builder(), Answers()
    data = {"name": "diabetes", "validation": 60, "calibration": 32}
    settings = {"recipe": "", "is_shipped": False, "recovery_steps": 0, "input": None, "root": None}
    request = {"op": "prepare", "task": "classification", "model": "any:thing", "data": data, **settings}
    builder.handle(request, answers)
    assert "the data set diabetes is not for the task classification: expected classes alone" in answers.failures[0][1]


def test_plugin_default_calibration_of_fewer_patients_is_all_of_them_and_says_so(space):
    few = replace(space, data=replace(space.data, calibration=default_calibration("diabetes")))
    _, answers, _ = prepared(few, few.model)
    assert any("patients calibrate, all there are: fewer than the default, 512" in note for note in answers.notes)


def test_plugin_is_prepared_built_and_scored(space, tmp_path):
    builder, answers, facts = prepared(space, space.model)
    assert facts["task"] == {"name": "diabetes", "facts": {"unit": "points"}}
    assert facts["data"]["input"] == {"name": "patients", "dtype": "float32", "shape": [10]}
    assert facts["input"] is None
    examples = Examples.from_json(facts["validation"])
    inputs, targets = np.load(examples.inputs), np.load(examples.targets)
    assert (inputs.shape, inputs.dtype, targets.shape) == ((60, 10), np.float32, (60, 1))
    artifact = built(builder, answers, Variant(), tmp_path)
    outputs, _ = artifact.load(1).classify(inputs)
    found = task_named("diabetes").measure(outputs, targets)
    (mean,) = facts["references"]
    assert found["mse"].low < found["mse"].value < found["mse"].high < mean["value"]
    assert found["r2"].value == pytest.approx(1 - found["mse"].value / mean["value"])
    memory = answers.results[-1]["memory_bytes"]
    assert memory["parameters"] == 4 * artifact.facts.n_parameters == 44


def test_plugin_quality_on_the_test_split_is_its_own_metric(space, tmp_path):
    """What `explore export` states of a trial that was not confirmed."""
    builder, answers, facts = prepared(space, space.model)
    variant, test = Variant(runtime="onnxruntime"), Examples.from_json(facts["test"])
    artifact = built(builder, answers, variant, tmp_path)
    dataset = data_at_hand(space.data, facts["data"]["fingerprint"], None)
    found = quality_on_test(artifact, variant, dataset, space.task, None)
    outputs, _ = artifact.load(1).classify(np.load(test.inputs))
    expected = ((outputs - np.load(test.targets)) ** 2).mean()
    assert found.value == pytest.approx(expected, rel=1e-5)
    assert found.n == len(outputs)


def test_plugin_network_that_is_pruned_recovers_by_the_tasks_loss(space, tmp_path):
    builder, answers, _ = prepared(space, "diabetes_task:pruned_mlp", recovery_steps=3)
    whole = built(builder, answers, Variant(), tmp_path)
    pruned = built(builder, answers, Variant(pruning_ratio=0.5), tmp_path)
    assert [stage["name"] for stage in answers.results[-1]["stages"][:4]] == [
        "width",
        "prune",
        "recovery lessons",
        "recover",
    ]
    assert pruned.facts.n_parameters < 0.6 * whole.facts.n_parameters


def test_limit_on_a_metric_of_another_task_names_those_of_the_study(package):
    result = load_result(Path(__file__).parents[2] / "studies" / "reference")
    with pytest.raises(UsageError, match=r"one of accuracy, latency_ms, .*; got 'r2', which belongs to another task"):
        front_view(result, [parse_constraint("r2 >= 0.5")])
