"""What a machine lacks, or has in another version than before."""

from __future__ import annotations

import importlib.util
import platform
import sqlite3
import sys

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start

from explorer.commands import device
from explorer.errors import RuntimeNotAvailable, StudyIncompatible
from explorer.measure.noise import Noise
from explorer.measure.roofline_peaks import Peaks
from explorer.runtimes import runtime as plugin
from explorer.study.evaluator import MeasuringEvaluator
from explorer.system import environment

NOISE = Noise(20.0, 500, 0.3, 1.35, 2.5, 0.014)


@pytest.fixture
def shown(monkeypatch, capsys):
    """What `explore device` prints, without measuring anything."""

    def show() -> str:
        monkeypatch.setattr(device, "machine_peaks", lambda threads: Peaks.unknown(1, "not measured"))
        monkeypatch.setattr(device, "measured_noise", lambda: Noise(20.0, 500, 0.3, 1.35, 2.5, 0.014))
        device.device(is_json=False)
        return capsys.readouterr().out

    return show


def refused(tmp_path) -> str:
    """Why no study begins; nothing is started for it."""
    evaluator = MeasuringEvaluator(small_space(), tmp_path, None)
    with pytest.raises(RuntimeNotAvailable, match="asks for a runtime that is not installed") as error:
        evaluator.prepare(lambda progress: pytest.fail("the builder was started"))
    assert error.value.exit_code == 5
    return str(error.value)


def test_machine_without_torch_is_told_so_and_runs_no_study(tmp_path, monkeypatch, shown):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else find(name, *more))
    assert "eager needs torch: pip install torch torchao" in shown()
    assert "eager needs torch: pip install torch torchao" in refused(tmp_path)


@pytest.mark.parametrize(
    ("version", "is_refused"), [("1.20.1", True), ("1.9", True), ("1.21.0", False), ("2.0", False)]
)
def test_machine_with_an_old_onnx_is_told_so_and_runs_no_study(tmp_path, monkeypatch, shown, version, is_refused):
    installed = plugin.version
    monkeypatch.setattr(plugin, "version", lambda name: version if name == "onnx" else installed(name))
    said = "onnxruntime refuses an older onnx: pip install 'onnx>=1.21'"
    assert (said in shown()) is is_refused
    if is_refused:
        assert said in refused(tmp_path)


def test_machine_without_onnx_is_told_so(monkeypatch):
    def version(name: str) -> str:
        raise plugin.PackageNotFoundError(name)

    monkeypatch.setattr(plugin, "version", version)
    assert plugin._release("onnx") == ()


@pytest.mark.parametrize(
    ("version", "said"),
    [((3, 46, 0), "journal DELETE: a write-ahead log could corrupt"), ((3, 51, 3), "journal WAL\n")],
)
def test_machine_whose_sqlite_has_the_logs_bug_is_told_why_there_is_none(monkeypatch, shown, version, said):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert said in shown()


def test_study_resumed_by_another_python_is_refused_with_the_difference_and_measures_anew_in_a_fork(
    tmp_path, monkeypatch
):
    python = platform.python_version()
    start(small_space(n_trials=3), tmp_path / "small", FakeEvaluator(identity=identity()))
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    with pytest.raises(StudyIncompatible, match=rf"(?s)software\.python: {python} -> 3\.99\.0\n.*--fork NAME") as said:
        start(small_space(n_trials=3), tmp_path / "small", FakeEvaluator(identity=identity()))
    assert said.value.exit_code == 6
    view, evaluator = RecordingView(), FakeEvaluator(identity=identity())
    start(small_space("again", n_trials=3), tmp_path / "again", evaluator, view, fork_from=tmp_path / "small")
    assert len(evaluator.evaluated) == 3
    assert "they were measured with other data, software" in view.notes[0]


def test_study_goes_on_in_a_virtual_environment_that_was_moved(tmp_path, monkeypatch):
    start(small_space(n_trials=2), tmp_path, FakeEvaluator(identity=identity()))
    for name in ("prefix", "exec_prefix", "executable"):
        monkeypatch.setattr(sys, name, f"/elsewhere/{name}")
    assert len(start(small_space(n_trials=4), tmp_path, FakeEvaluator(identity=identity())).trials) == 4


def identity() -> dict[str, object]:
    """What a study is told of the software here, as the real evaluator does."""
    return {"data": {"fingerprint": "d0"}, "software": environment.software()}
