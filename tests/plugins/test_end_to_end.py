"""A task, a runtime, a scenario, a family and a data set of another package, from `start` to a verified bundle.

They are those of CONTRIBUTING.md and docs/extending.md, word for word.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from diabetes_package import METADATA, ROOT, documented

EXPLORE = [sys.executable, "-m", "explorer"]
ENTRY_POINTS = """\
[pareto_explorer.tasks]
diabetes = diabetes_task:Diabetes
[pareto_explorer.runtimes]
onnx_reference = onnx_reference:OnnxReference
onnx_rounding = onnx_rounding:OnnxRounding
[pareto_explorer.scenarios]
paused = paused:Paused
[pareto_explorer.families]
two_layers = two_layers:FAMILY
[pareto_explorer.datasets]
stripes = stripes
"""
# The runtime of CONTRIBUTING.md with two parameters of its own: one that its export needs, and one that loading needs.
ROUNDING = """\
import onnx_rounding_loading
from onnx_reference import OnnxReference

from explorer.parameters import Names, Numbers, ParameterSpec


class OnnxRounding(OnnxReference):
    name = "onnx_rounding"
    parameters = (
        ParameterSpec("producer", "export", "none", Names(("none", "me"), "a producer"), "Who made the file."),
        ParameterSpec("decimals", "artifact", 9, Numbers(0, 9, is_whole=True), "Decimals of the outputs."),
    )
    loading = onnx_rounding_loading

    def export(self, job, folder):
        import onnx

        written = super().export(job, folder)
        for one in written:
            model = onnx.load(folder / one.file)
            model.producer_name = job.variant["producer"]
            onnx.save(model, folder / one.file)
        return written
"""
ROUNDING_LOADING = """\
PARAMETERS = ("decimals",)


def load_segments(files, threads, quantization, decimals=9):
    from onnx.reference import ReferenceEvaluator

    def segment(file):
        model = ReferenceEvaluator(str(file))
        (name,) = model.input_names
        return lambda features: tuple(one.round(decimals) for one in model.run(None, {name: features}))

    return [segment(file) for file in files]
"""
ROUNDED = """\
name: rounded
model: diabetes_task:least_squares
task: diabetes
data: {name: diabetes, validation: 80, calibration: 32}
parameters: {runtime: [eager, onnx_rounding], decimals: [3, 9], producer: me}
objectives: {mse: minimize, latency_ms: minimize}
search: {trials: 4, seed: 0, sampler: grid}
"""
SUGAR = """\
name: sugar
model: diabetes_task:least_squares
task: diabetes
scenario: paused
data: {name: diabetes, validation: 80, calibration: 32}
parameters: {runtime: [eager, onnx_reference], pause_ms: 5}
objectives: {mse: minimize, latency_ms: minimize}
search: {trials: 2, seed: 0, sampler: random}
"""
STRIPES = """\
name: stripes
model: two_layers
training: {recipe: quick}
data: {name: stripes, validation: 100, calibration: 32}
parameters: {width: [0.5, 1.0], runtime: [eager, onnxruntime]}
objectives: {accuracy: maximize, latency_ms: minimize}
search: {trials: 3, seed: 0, sampler: grid}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package in `site`."""
    root = tmp_path_factory.mktemp("others")
    info = root / "site" / "others-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    modules = documented("CONTRIBUTING.md") | documented("docs/extending.md")
    modules |= {"onnx_rounding.py": ROUNDING, "onnx_rounding_loading.py": ROUNDING_LOADING}
    for name, text in modules.items():
        (root / "site" / name).write_text(text)
    return root


def environment(folder: Path) -> dict[str, str]:
    """The environment with the package on the path."""
    path = os.pathsep.join([str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def run(folder: Path) -> Callable[..., str]:
    """Runs a command in the folder, with the package on the path: its standard output."""

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_another_packages_runtime_has_parameters_of_its_own(folder, run, known_times):
    """They are those of its variants alone, reach export and load, and are in the bundle."""
    (folder / "rounded.yaml").write_text(ROUNDED)
    checked = json.loads(run(*EXPLORE, "check", "rounded.yaml", "--json"))
    assert checked["n_variants"] == 3  # with eager there is nothing to round
    run(str(known_times), "start", "rounded.yaml", "--no-dashboard", "--no-confirm", "--quiet")
    trials = {n: json.loads(run(*EXPLORE, "show", "rounded", str(n), "--json")) for n in range(3)}
    values = {n: (one["variant"]["runtime"], one["variant"]["decimals"]) for n, one in trials.items()}
    assert sorted(values.values()) == [("eager", 9), ("onnx_rounding", 3), ("onnx_rounding", 9)]
    assert len({one["artifact"] for one in trials.values()}) == 3
    number = next(n for n, value in values.items() if value == ("onnx_rounding", 3))
    run(*EXPLORE, "export", "rounded", "--trial", str(number), "-o", "rounded-bundle", "--force")
    bundle = folder / "rounded-bundle"
    assert json.loads((bundle / "manifest.json").read_text())["variant"]["decimals"] == 3
    assert b"me" in (bundle / "model" / "segment_0.onnx").read_bytes()[:16]
    code = "import numpy as np, run; print(run.Model().run(np.zeros((1, 10), np.float32))[0][0, 0])"
    output = float(run(sys.executable, "-c", f"import sys; sys.path.insert(0, {str(bundle)!r}); {code}"))
    assert output == pytest.approx(round(output, 3), abs=1e-5)
    assert json.loads(run(*EXPLORE, "verify", "rounded-bundle", "--quick", "--json"))["verdict"] == "holds"


def test_another_packages_runtime_gives_no_parameter_to_other_spaces(folder):
    (folder / "without.yaml").write_text(ROUNDED.replace("onnx_rounding]", "onnxruntime]"))
    refused = subprocess.run(
        [*EXPLORE, "check", "without.yaml"], cwd=folder, capture_output=True, text=True, env=environment(folder)
    )
    assert refused.returncode == 2
    assert "'decimals' is no key of 'parameters'" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "quality", "chosen"),
    [(SUGAR, "mse", {"runtime": "onnx_reference", "pause_ms": 5}), (STRIPES, "accuracy", {"runtime": "onnxruntime"})],
    ids=["task, runtime and scenario", "family and data set"],
)
def test_another_packages_plugins_from_start_to_a_bundle(folder, run, known_times, space, quality, chosen):
    name = space.split()[1]
    (folder / f"{name}.yaml").write_text(space)
    run(str(known_times), "start", f"{name}.yaml", "--no-dashboard", "--quiet")
    front = json.loads(run(*EXPLORE, "front", name, "--json"))
    assert front["confirmed"]
    number = next(one["trial"] for one in front["front"] if chosen.items() <= one["variant"].items())
    trial = json.loads(run(*EXPLORE, "show", name, str(number), "--json"))
    assert trial["metrics"][quality]["value"] is not None
    assert trial["confirmed"]["metrics"][quality]["value"] == trial["metrics"][quality]["value"]
    run(*EXPLORE, "export", name, "--trial", str(number), "-o", f"{name}-bundle", "--force")
    verified = json.loads(run(*EXPLORE, "verify", f"{name}-bundle", "--quick", "--json"))
    assert verified["verdict"] == "holds"
    run(*EXPLORE, "report", name, "-o", f"{name}.html")
    assert (folder / f"{name}.html").stat().st_size > 100_000


def test_another_packages_scenario_changes_no_other_study(folder, run):
    """Its parameters are neither asked of, nor allowed in, a study of another scenario."""
    reference = str(ROOT / "studies" / "reference")
    assert json.loads(run(*EXPLORE, "front", reference, "--json"))["confirmed"]
    assert "pause_ms" not in run(*EXPLORE, "show", reference, "0")
    (folder / "other.yaml").write_text(STRIPES.replace("{width:", "{pause_ms: [0, 5], width:"))
    refused = subprocess.run(
        [*EXPLORE, "check", "other.yaml"], cwd=folder, capture_output=True, text=True, env=environment(folder)
    )
    assert refused.returncode == 2
    assert "'pause_ms' is no key of 'parameters'" in refused.stderr
