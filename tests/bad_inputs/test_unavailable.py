"""What a search space needs and this machine lacks: said by `check`, and by `start` before anything is made."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from explorer.measure.energy import EnergyCounter
from explorer.runtimes.eager import Eager
from explorer.runtimes.onnxruntime import OnnxRuntime

SPACE = "name: s\nmodel: slimmable_cnn\ndata: {{name: digits}}\nobjectives: {{{}}}\n"
START = ("start", "s.yaml", "--studies", "studies", "--no-dashboard", "--quiet")
WHY = "the counters of the processor's energy cannot be read: do this or that"


@pytest.fixture
def without_runtime(work, monkeypatch):
    (work / "s.yaml").write_text(SPACE.format("accuracy: maximize"))
    monkeypatch.setattr(Eager, "missing", lambda self: "torch is not installed: pip install torch")


@pytest.fixture
def without_counters(work, monkeypatch):
    (work / "s.yaml").write_text(SPACE.format("accuracy: maximize, energy_mj: minimize"))
    monkeypatch.setattr(EnergyCounter, "open", staticmethod(lambda *_: SimpleNamespace(why=WHY)))


def findings(said):
    return {finding["name"]: (finding["ok"], finding["text"]) for finding in json.loads(said.out)["findings"]}


def test_check_runtime_that_is_not_installed_is_listed_and_ends_with_5(without_runtime, explore):
    said = explore("check", "s.yaml", "--json")
    assert said.exit_code == 5
    assert said.sentence == "1 of what s.yaml needs is missing: runtime eager (see above)\n"
    assert findings(said)["runtime eager"] == (False, "torch is not installed: pip install torch")


def test_start_runtime_that_is_not_installed_ends_with_5_before_any_trial(without_runtime, explore, work):
    said = explore(*START)
    assert said.exit_code == 5
    assert said.sentence == (
        "the search space asks for a runtime that is not installed: torch is not installed: pip install torch\n"
    )
    assert not list(work.glob("studies/s/study.db*"))


def test_check_energy_without_counters_is_listed_and_ends_with_5(without_counters, explore):
    said = explore("check", "s.yaml", "--json")
    assert said.exit_code == 5
    assert said.sentence == "1 of what s.yaml needs is missing: energy (see above)\n"
    assert findings(said)["energy"] == (False, WHY)


def test_start_energy_without_counters_ends_with_5_before_any_trial(without_counters, explore, work):
    said = explore(*START)
    assert said.exit_code == 5
    assert said.sentence == f"the search space asks for energy_mj, and {WHY}\n"
    assert not list(work.glob("studies/s/study.db*"))


def space_of(runtimes, quantization="none"):
    parameters = f"parameters: {{runtime: [{runtimes}], quantization: {quantization}}}\n"
    return SPACE.format("accuracy: maximize") + parameters


def test_check_leaves_out_a_runtime_that_is_not_installed_when_asked_to(work, explore, monkeypatch):
    (work / "s.yaml").write_text(space_of("eager, onnxruntime"))
    monkeypatch.setattr(OnnxRuntime, "missing", lambda self: "onnxruntime is not installed: pip install onnxruntime")
    assert explore("check", "s.yaml", "--json").exit_code == 5
    said = explore("check", "s.yaml", "--json", "--skip-unavailable")
    assert said.exit_code == 0
    assert findings(said)["runtime onnxruntime"] == (
        True,
        "left out: onnxruntime is not installed: pip install onnxruntime",
    )
    assert json.loads(said.out)["executable_pairs"] == ["eager:none"]


@pytest.mark.parametrize(
    ("runtimes", "quantization", "absent", "sentence"),
    [
        ("eager, onnxruntime", "none", Eager, "the baseline runs on eager, which cannot be left out: not here"),
        (
            "onnxruntime",
            "none",
            OnnxRuntime,
            "without the runtimes that are not installed no variant is left: not here",
        ),
        (
            "eager, onnxruntime",
            "static_int8",
            OnnxRuntime,
            "without the runtimes that are not installed no variant is left: not here",
        ),
    ],
)
def test_start_cannot_leave_out_everything(runtimes, quantization, absent, sentence, work, explore, monkeypatch):
    (work / "s.yaml").write_text(space_of(runtimes, quantization))
    monkeypatch.setattr(absent, "missing", lambda self: "not here")
    said = explore(*START, "--skip-unavailable")
    assert (said.exit_code, said.sentence) == (5, sentence + "\n")
    assert not list(work.glob("studies/s/study.db*"))
