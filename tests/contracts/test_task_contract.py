"""What every registered task promises, on data of its own, else on digits."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.data.dataset import Dataset
from explorer.data.preparing import prepare
from explorer.errors import ExplorerError
from explorer.metrics import METRICS, Metric
from explorer.space.values import DataSettings
from explorer.tasks.classification import Classification
from explorer.tasks.task import TASKS, Quality, Task, task_named

CLASSIFIED = "digits"


@dataclass(frozen=True)
class Case:
    """A task, its data, and outputs that are right for most of the test examples."""

    task: Task
    dataset: Dataset
    outputs: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        return np.asarray(self.dataset.test_targets)


@pytest.fixture(params=list(TASKS), scope="module")
def case(request, tmp_path_factory):
    task = task_named(request.param)
    name = CLASSIFIED if task.data is None else task.name
    dataset = prepare(DataSettings(name, 100, 50), tmp_path_factory.mktemp("data"), lambda _: None)
    outputs = np.random.default_rng(0).normal(size=(len(dataset.test_targets), task.n_outputs(dataset.facts)))
    return Case(task, dataset, outputs.astype(np.float32))


def test_task_metrics_are_found_by_name_and_are_of_the_task(case):
    assert case.task.main_metric is case.task.metrics[0]
    for metric in case.task.metrics:
        assert METRICS[metric.name] == metric
        assert metric.origin == "task"
        assert metric.name in list(METRICS)


def test_task_measures_every_metric_within_its_interval_and_bounds(case):
    measured = case.task.measure(case.outputs, case.targets)
    assert list(measured) == [metric.name for metric in case.task.metrics]
    for metric in case.task.metrics:
        found = measured[metric.name]
        assert metric.bounds[0] <= found.low <= found.value <= found.high <= metric.bounds[1]
        assert found.n == len(case.targets)


def test_task_scores_have_the_metric_as_their_mean(case):
    measured = case.task.measure(case.outputs, case.targets)
    for name, scores in case.task.scores(case.outputs, case.targets).items():
        assert scores.shape == (len(case.targets),)
        assert scores.dtype == np.float64
        assert measured[name].value == pytest.approx(scores.mean())


def test_task_measures_the_same_again(case):
    assert case.task.measure(case.outputs, case.targets) == case.task.measure(case.outputs, case.targets)


def test_task_references_are_values_of_the_main_metric(case):
    least, most = case.task.main_metric.bounds
    for reference in case.task.references(case.targets, case.dataset.facts):
        assert least <= reference.value <= most
        assert reference.to_json()["clause"]
    for metric in case.task.metrics:
        assert metric.bounds[0] <= case.task.reference(metric, case.dataset.facts) <= metric.bounds[1]


def test_task_accepts_its_data_and_splits_them(case):
    case.task.check(case.dataset.facts, case.targets)
    strata = case.task.strata(case.targets)
    assert strata is None or (strata.shape == (len(case.targets),) and strata.dtype == np.int64)


def test_task_facts_are_ready_for_json(case):
    assert json.loads(json.dumps(case.dataset.facts)) == case.dataset.facts


def test_task_loss_is_a_number_that_training_lowers(case):
    outputs = torch.from_numpy(case.outputs[:32]).requires_grad_(True)
    for targets in (torch.from_numpy(case.targets[:32].copy()), case.task.lessons(torch.randn(outputs.shape))):
        loss = case.task.loss(outputs, targets)
        assert loss.shape == ()
        (gradient,) = torch.autograd.grad(loss, outputs)
        assert case.task.loss(outputs - 1e-3 * gradient / gradient.norm(), targets) < loss


def test_task_files_import_nothing_of_this_package_and_show_outputs(case):
    files = case.task.files
    tree = ast.parse(Path(files.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not any(name.split(".")[0] == "explorer" for name in names)
    shown = files.answer(case.outputs[0], case.dataset.facts)
    assert json.loads(json.dumps(shown)) == shown
    assert files.text(shown).isprintable()
    assert issubclass(files.UnreadableFile, ValueError)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in files.SUFFIXES)


def test_task_file_that_is_no_input_is_unreadable(case, tmp_path):
    (tmp_path / "broken").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(case.task.files.UnreadableFile):
        case.task.files.read(tmp_path / "broken", case.dataset.input_shape)


def test_task_sections_are_tables(case):
    for section in case.task.sections(case.outputs, case.targets, case.dataset.facts):
        assert all(len(row) == len(section.columns) for row in section.rows)


@pytest.mark.parametrize("name", list(TASKS))
def test_task_is_imported_without_torch(name):
    code = (
        f"import sys; from explorer.tasks.task import task_named; task_named({name!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def macro_f1(outputs, targets):
    """The mean of the classes' F1, which no mean of scores gives."""
    said = outputs.argmax(axis=1)
    classes = np.unique(targets)
    right = np.array([((said == c) & (targets == c)).sum() for c in classes])
    named = np.array([(said == c).sum() + (targets == c).sum() for c in classes])
    return float((2 * right / np.maximum(named, 1)).mean())


@pytest.fixture
def with_f1(monkeypatch):
    """Classification with one line more."""
    line = Quality(Metric("macro_f1", "macro F1", "ratio", "maximize", (0, 1), "mean F1", best=1.0), of_set=macro_f1)
    monkeypatch.setattr(Classification, "qualities", (*Classification.qualities, line))
    known = vars(METRICS).pop("_all", None)
    yield Classification()
    vars(METRICS).pop("_all", None)
    if known is not None:
        vars(METRICS)["_all"] = known


def test_metric_of_a_set_is_one_line_of_the_task(with_f1):
    assert METRICS["macro_f1"].title == "macro F1"
    assert [metric.name for metric in with_f1.metrics] == ["accuracy", "macro_f1"]
    targets = np.arange(100) % 4
    outputs = np.eye(4)[np.where(np.arange(100) < 80, targets, 0)]
    measured = with_f1.measure(outputs, targets)
    assert measured["macro_f1"].value == pytest.approx(macro_f1(outputs, targets))
    assert measured["macro_f1"].low < measured["macro_f1"].value < measured["macro_f1"].high
    assert set(with_f1.scores(outputs, targets)) == {"accuracy"}


def test_metric_of_two_tasks_is_refused_unless_it_is_the_same(with_f1, monkeypatch):
    line = replace(Classification.qualities[0].metric, name="latency_ms")
    monkeypatch.setattr(Classification, "qualities", (Quality(line),))
    with pytest.raises(ExplorerError, match="'classification' has a metric 'latency_ms', and there is another"):
        task_named("classification")


def test_quality_without_a_function_is_refused():
    metric = Classification.qualities[0].metric
    with pytest.raises(ValueError, match="needs `scores` or `of_set`"):
        Quality(metric).measure(np.eye(2), np.arange(2))
