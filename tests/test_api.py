"""The public Python API, on the study that the repository keeps, on a fake evaluator, and once on real processes."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

import explorer
from explorer import api
from explorer.deploy.selection import Selection, choose
from explorer.space.expressions import parse_constraint
from explorer.study.front import front_view, memberships
from explorer.study.read import load_result
from explorer.views.outputs import front_csv, trials_csv

sys.path.insert(0, str(Path(__file__).parent))
from fakes import FakeEvaluator

sys.path.remove(str(Path(__file__).parent))

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "studies" / "reference"
DIGITS = ROOT / "search_spaces" / "digits.yaml"
LIMITS = ["accuracy >= 0.99 * baseline", "latency_ms <= 0.5 * baseline"]


@pytest.fixture(scope="module")
def study() -> explorer.Study:
    return explorer.load(REFERENCE)


@pytest.fixture(scope="module")
def result():
    return load_result(REFERENCE)


@pytest.fixture
def unconfirmed(tmp_path) -> explorer.Study:
    """The same study before its confirmation."""
    shutil.copytree(REFERENCE, tmp_path / "reference")
    (tmp_path / "reference" / "confirmation.json").unlink()
    return explorer.load("reference", studies=tmp_path)


def test_import_loads_nothing_heavy():
    code = (
        "import sys, explorer\n"
        "assert {'load', 'run', 'Study'} <= set(dir(explorer))\n"
        "print(sorted({'torch', 'optuna', 'pandas', 'plotly', 'numpy', 'explorer.api'} & set(sys.modules)))\n"
        "explorer.load\n"
        "print(sorted({'torch', 'optuna', 'pandas', 'plotly'} & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["[]", "[]"]


def test_reading_a_study_loads_neither_torch_nor_optuna():
    code = (
        f"import sys, explorer\nstudy = explorer.load({str(REFERENCE)!r})\n"
        "study.front(); study.recommend(); study.figure(); study._repr_html_()\n"
        "print(sorted({'torch', 'optuna'} & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        explorer.lode  # noqa: B018


def test_load_takes_a_name_or_a_path(study, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert study.name == explorer.load("studies/reference").name == explorer.load("reference").name == "cifar10-cnn"
    assert study.folder == REFERENCE
    n_feasible = int(study.trials().feasible.sum())
    assert repr(study) == f"<Study cifar10-cnn: 60 trials, {n_feasible} feasible, confirmed in 5 rounds>"
    with pytest.raises(explorer.ExplorerError, match="did you mean reference"):
        explorer.load("referense")


def test_trials_are_those_of_trials_csv(study, result):
    found = study.trials()
    expected = pd.read_csv(StringIO(trials_csv(result)))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert found.feasible.dtype == bool
    assert found.energy_mj.dtype == float


def test_front_is_that_of_front_csv(study, result):
    found, text = study.front(), StringIO(front_csv(front_view(result)))
    expected = pd.read_csv(text, dtype={"ties": str})
    ties = ["" if pd.isna(one) else one for one in expected.ties]
    pd.testing.assert_frame_equal(found.drop(columns="ties"), expected.drop(columns="ties"), check_dtype=False)
    assert [" ".join(map(str, one)) for one in found.ties] == ties
    assert found.knee.sum() == 1
    assert study.front("confirmed").equals(found)


def test_front_of_the_search_has_its_values(study, result):
    found = study.front("search")
    entries = front_view(result, is_search=True).entries
    assert list(found.trial) == [entry.trial.number for entry in entries]
    assert list(found.latency_ms) == [entry.trial.values()["latency_ms"] for entry in entries]
    assert found.probability.isna().all()


def test_front_within_limits(study, result):
    found = study.front(where=LIMITS)
    summary = front_view(result, [parse_constraint(text) for text in LIMITS])
    assert list(found.trial) == [entry.trial.number for entry in summary.entries]
    assert study.front(where=["latency_ms <= 0.000001"]).empty


def test_confirmed_trials_are_the_finalists(study, result):
    found = study.trials("confirmed").set_index("trial")
    assert set(found.index) <= {finalist.trial for finalist in result.confirmation.finalists}
    for number, probability in memberships(result).items():
        assert found.probability[number] == probability
    front = study.front().set_index("trial")
    assert found.latency_ms[front.index].equals(front.latency_ms)


def test_baseline_has_confirmed_values(study, unconfirmed, result):
    assert study.baseline.trial == 0
    assert study.baseline.values["latency_ms"] == study.trials("confirmed").set_index("trial").latency_ms[0]
    assert unconfirmed.baseline.values == result.baseline_values()


def test_unconfirmed_study_has_the_searchs_values_and_says_so(unconfirmed):
    assert not unconfirmed.is_confirmed
    assert unconfirmed.front().equals(unconfirmed.front("search"))
    for read in (unconfirmed.front, unconfirmed.trials):
        with pytest.raises(explorer.ExplorerError, match="has no confirmed values: `explore confirm`"):
            read("confirmed")
    assert "probability" not in unconfirmed.recommend().reason
    assert "probability" not in unconfirmed._repr_html_()


def test_recommend_selects_what_export_selects(study, result):
    limits = tuple(parse_constraint(text) for text in LIMITS)
    for best in (None, "peak_memory_mib"):
        choice = choose(result, Selection(None, best is None, best, limits))
        found = study.recommend(where=LIMITS, best=best)
        assert (found.trial, found.variant) == (choice.trial.number, choice.trial.variant)
        assert found.metrics == choice.confirmed.metrics
        assert found.reason.startswith(choice.how)
    assert "on the front with probability" in study.recommend().reason
    with pytest.raises(FrozenInstanceError):
        study.recommend().trial = 1


def test_recommend_refuses_in_a_sentence(study):
    with pytest.raises(explorer.ExplorerError, match="no finalist satisfies every constraint"):
        study.recommend(where=["latency_ms <= 0.000001"])
    with pytest.raises(explorer.ExplorerError, match="expected a metric"):
        study.recommend(best="speed")
    with pytest.raises(explorer.ExplorerError, match="put it into a list"):
        study.recommend(where="latency_ms <= 1")
    with pytest.raises(explorer.ExplorerError, match="expected 'confirmed' or 'search', got 'best'"):
        study.front("best")


def test_figure_shows_the_front(study):
    (front,) = [trace for trace in study.figure().data if trace.meta == "front"]
    assert set(front.customdata) == set(study.front().trial)
    assert "sendChartToCloud" in study.figure().layout.modebar.remove


def test_html_is_escaped_and_has_a_row_for_each_trial_of_the_front(study):
    html = study._repr_html_()
    assert html.count("<tr>") == len(study.front())
    assert "5 rounds" in html
    study._result = _renamed(study, "<b>&")
    try:
        assert "&lt;b&gt;&amp;: 60 trials" in study._repr_html_()
    finally:
        study._result = _renamed(study, "cifar10-cnn")


def _renamed(study, name):
    from dataclasses import replace

    return replace(study._result, name=name)


def test_export_without_the_measured_files_is_refused(study, tmp_path):
    knee = study.recommend().trial
    with pytest.raises(explorer.ExplorerError, match=f"the artifact of trial {knee} does not read"):
        study.export(tmp_path / "out")
    with pytest.raises(explorer.ExplorerError, match="leave one of them out"):
        study.export(tmp_path / "out", trial=3, best="accuracy")
    with pytest.raises(explorer.ExplorerError, match="expected one of bundle, onnx, triton, mlflow"):
        study.export(tmp_path / "out", format="zip")
    with pytest.raises(explorer.ExplorerError, match=r"export\(\) has no option forced: did you mean force\?"):
        study.export(tmp_path / "out", forced=True)
    assert list(tmp_path.iterdir()) == []


def test_run_is_a_study_that_can_be_loaded_and_resumed(tmp_path, monkeypatch, capfd):
    evaluated = []

    def evaluator(space, folder, *others):
        evaluated.append(FakeEvaluator(folder))
        return evaluated[-1]

    monkeypatch.setattr("explorer.study.evaluator.MeasuringEvaluator", evaluator)
    options = {"trials": 4, "studies": tmp_path, "timeout": "20m", "seed": 3, "confirm": False}
    found = explorer.run(DIGITS, **options)
    assert len(found.trials()) == 4
    assert found.trials().equals(explorer.load(found.name, studies=tmp_path).trials())
    assert (tmp_path / found.name / "report.html").is_file()
    again = explorer.run(DIGITS, **{**options, "trials": 6})
    assert again.trials().head(4).equals(found.trials())
    assert [len(one.evaluated) for one in evaluated] == [4, 2]
    assert capfd.readouterr() == ("", "")


def test_run_refuses_in_a_sentence(tmp_path):
    with pytest.raises(explorer.ExplorerError, match=r"run\(\) has no option trails: did you mean trials\?"):
        explorer.run(DIGITS, trails=3)
    with pytest.raises(explorer.ExplorerError, match="expected a duration such as 90"):
        explorer.run(DIGITS, timeout="soon")
    with pytest.raises(explorer.ExplorerError, match=r"missing\.yaml"):
        explorer.run(tmp_path / "missing.yaml")


def test_run_outside_of_the_main_thread_is_refused(tmp_path):
    found = []

    def call():
        with pytest.raises(explorer.ExplorerError, match="main thread") as caught:
            explorer.run(DIGITS, studies=tmp_path)
        found.append(caught.value)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(found) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_run_and_export_with_real_processes(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from known_times import replace_times\n"
        "replace_times()\n"
        "import explorer\n"
        f"study = explorer.run({str(DIGITS)!r}, trials=1, studies='studies')\n"
        "print(study.is_confirmed, len(study.trials()), study.export('shipped', trial=0, force=True))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == "True 1 shipped"
    assert (tmp_path / "shipped" / "manifest.json").is_file()


def test_unknown_numbers_are_nan(study):
    assert study.trials().energy_mj.map(math.isnan).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda study: study.front(where=None),
        lambda study: study.front(where=3),
        lambda study: study.front(where=[b"accuracy >= 1"]),
        lambda study: study.recommend(where=None),
        lambda study: study.recommend(best=[]),
        lambda study: study.export(None),
        lambda study: study.export("out", trial="28"),
        lambda study: explorer.load(None),
        lambda study: explorer.load("reference", studies=3),
        lambda study: explorer.run(None),
        lambda study: explorer.run("space.yaml", data=5),
    ],
)
def test_argument_of_another_type_is_a_usage_error(study, call):
    with pytest.raises(explorer.errors.UsageError, match=r"expected .+, got "):
        call(study)


def test_public_names_are_those_of_the_api():
    assert set(explorer.__all__) == {*api.__all__, "__version__", "errors"}
    for name in explorer.__all__:
        assert getattr(explorer, name) is not None
