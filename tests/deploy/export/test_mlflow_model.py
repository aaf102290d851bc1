"""The MLflow model: loaded by MLflow itself, and written without a word to anyone."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest

from explorer.deploy.export.mlflow_model import write_mlflow
from explorer.deploy.export.onnx_file import onnx_model, properties
from explorer.deploy.export.plan import ExportPlan
from explorer.deploy.manifest import MANIFEST, MODEL, SAMPLES, Manifest
from explorer.errors import RuntimeNotAvailable
from explorer.runtimes.artifact import Artifact

WITH_EXITS = ("onnxruntime", "static_int8", 0.8, 0.0)
WITHOUT_EXITS = ("onnxruntime", "none", 1.0, 0.0)

# Whoever would speak over the network says so here.
WRITE_ALONE = """
import os, socket, sys
from pathlib import Path

def refused(*args, **options):
    print("network", args)
    raise OSError("no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refused
before = dict(os.environ)
from explorer.deploy.manifest import MANIFEST, Manifest
from explorer.deploy.export.mlflow_model import write_mlflow
from explorer.deploy.export.plan import ExportPlan
from explorer.runtimes.artifact import Artifact

bundle, folder = Path(sys.argv[1]), Path(sys.argv[2])
manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
write_mlflow(folder, ExportPlan(Artifact.read(bundle / "model"), manifest, (bundle / "samples.npz").read_bytes()))
if dict(os.environ) != before:
    print("the environment changed")
"""


def read(bundle: Path) -> tuple[Artifact, Manifest]:
    return Artifact.read(bundle / MODEL), Manifest.model_validate_json((bundle / MANIFEST).read_bytes())


@pytest.fixture
def mlflow_of(bundle_of, tmp_path):
    """Writes the MLflow model of a kind: its folder, its bundle, and MLflow."""

    def write(kind: tuple[str, str, float, float]):
        bundle, folder = bundle_of(kind), tmp_path / "mlflow"
        folder.mkdir()
        write_mlflow(folder, ExportPlan(*read(bundle), (bundle / SAMPLES).read_bytes()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own
            import mlflow.onnx
            import mlflow.pyfunc
        return folder, bundle, mlflow

    return write


@pytest.mark.parametrize("kind", [WITH_EXITS, WITHOUT_EXITS], ids=str)
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_write_mlflow_loaded_by_mlflow_gives_the_bundles_logits(mlflow_of, kind):
    folder, bundle, mlflow = mlflow_of(kind)
    artifact, manifest = read(bundle)
    with np.load(bundle / SAMPLES) as samples:
        images = samples["inputs"]
    model = mlflow.pyfunc.load_model(str(folder))
    staged = artifact.load(1)
    for image in images[:20]:
        logits, exits = staged.classify(image[None])
        made = model.predict({"images": image[None]})
        np.testing.assert_allclose(next(iter(made.values())), logits, atol=1e-4)
        assert ("exit" in made) == (artifact.n_exits > 1)
        assert made.get("exit", exits).tolist() == exits.tolist()
    np.testing.assert_array_equal(model.input_example["images"], images[:1])
    assert model.input_example["images"].dtype == np.uint8
    expected = onnx.load_model_from_string(onnx_model(artifact, manifest))
    assert mlflow.onnx.load_model(str(folder)) == expected


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_write_mlflow_model_says_signature_threads_requirements_and_origin(mlflow_of):
    folder, bundle, mlflow = mlflow_of(WITH_EXITS)
    _, manifest = read(bundle)
    made = mlflow.models.Model.load(str(folder))
    assert made.signature.inputs.to_dict() == [
        {"name": "images", "type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": (1, 1, 8, 8)}}
    ]
    assert made.signature.outputs.to_dict() == [
        {"name": "logits", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": (1, 10)}},
        {"name": "exit", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": (1,)}},
    ]
    flavor = made.flavors["onnx"]
    assert flavor["providers"] == ["CPUExecutionProvider"]
    assert flavor["onnx_session_options"] == {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    assert made.metadata == properties(*read(bundle))
    needed = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert f"onnxruntime=={manifest.execution.packages['onnxruntime']}" in needed
    assert [line.split("==")[0] for line in needed] == ["mlflow-skinny", "numpy", "onnx", "onnxruntime", "pandas"]


def test_write_mlflow_says_nothing_to_anyone_and_leaves_nothing_elsewhere(bundle_of, tmp_path):
    home, folder = tmp_path / "home", tmp_path / "mlflow"
    home.mkdir()
    folder.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    child = subprocess.run(
        [sys.executable, "-c", WRITE_ALONE, str(bundle_of(WITH_EXITS)), str(folder)],
        cwd=home,
        env={**kept, "HOME": str(home)},  # without what tells MLflow that it is tested: it would be silent by itself
        capture_output=True,
        text=True,
    )
    assert (child.stdout, child.stderr, child.returncode) == ("", "", 0)
    assert list(home.iterdir()) == []
    assert {path.name for path in folder.iterdir()} >= {"MLmodel", "model.onnx", "requirements.txt"}


def test_write_mlflow_without_mlflow_names_the_extra(bundle_of, tmp_path, monkeypatch):
    bundle = bundle_of(WITH_EXITS)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(RuntimeNotAvailable, match=r"mlflow is not installed: pip install 'pareto-explorer\[mlflow\]'"):
        write_mlflow(tmp_path, ExportPlan(*read(bundle), (bundle / SAMPLES).read_bytes()))
    assert list(tmp_path.iterdir()) == []
