"""What every registered runtime promises, for every quantization that it claims."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer.build.count import mega_macs, n_parameters
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact, export_model, store_artifact
from explorer.runtimes.runtime import RUNTIMES, ExportFailed, ExportJob, runtime
from explorer.runtimes.staged import exits_taken
from explorer.system.files import new_folder
from explorer.tasks.classification_files import confidence

CASES = [(name, quantization) for name in RUNTIMES for quantization in sorted(runtime(name).quantizations)]
ALL_QUANTIZATIONS = {"none", "dynamic_int8", "static_int8"}


@pytest.fixture(scope="module")
def artifact_of(tmp_path_factory, network, images):
    """Build each (runtime, quantization, threshold) once."""
    root = tmp_path_factory.mktemp("contract")

    def build(name: str, quantization: str, threshold: float) -> Artifact:
        job = ExportJob(network, threshold < 1.0, quantization, images[:64], root / "scratch")
        shipped = job.shipped()
        macs = mega_macs(shipped, torch.from_numpy(images[:1]))
        key = f"{name}-{quantization}-{threshold < 1.0}"
        if not (root / key).exists():
            with new_folder(root / key) as draft:
                export_model(job, n_parameters(shipped), macs, name, draft)
        variant = Variant(runtime=name, quantization=quantization, exit_threshold=threshold)
        return store_artifact(root / key, key, variant, root / "artifacts")

    return build


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_known_name_is_installed_and_names_its_versions(name):
    plugin = runtime(name)
    assert plugin.name == name
    assert plugin.missing() is None
    assert set(plugin.software()) == set(plugin.packages)
    assert "none" in plugin.quantizations
    assert plugin.quantizations <= ALL_QUANTIZATIONS


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_module_imports_without_its_libraries(name):
    code = f"import sys; from explorer.runtimes.runtime import runtime; runtime({name!r}); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'torch'" not in modules
    assert "'onnxruntime'" not in modules


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_artifact_loaded_gives_the_networks_logits(artifact_of, network, images, name, quantization):
    import torch

    artifact = artifact_of(name, quantization, 0.5)
    logits = artifact.load(1).all_exits(images[:32])
    with torch.no_grad():
        expected = torch.stack(network(torch.from_numpy(images[:32]))).numpy()
    assert logits.shape == expected.shape == (3, 32, 10)
    scale = max(1.0, float(abs(expected).max()))
    assert abs(logits - expected).max() / scale < (1e-4 if quantization == "none" else 0.15)


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_artifact_names_no_file_of_the_machine_that_made_it(artifact_of, name, quantization):
    folder = artifact_of(name, quantization, 0.5).folder
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    for place in (Path(explorer.__file__).parents[1], Path(sys.prefix), Path.home()):
        assert f"{place}/".encode() not in content


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_artifact_any_batch_size_gives_the_same_logits(artifact_of, images, name, quantization):
    artifact = artifact_of(name, quantization, 0.5)
    executor = artifact.load(1)
    together = executor.all_exits(images[:7])
    alone = np.concatenate([executor.all_exits(images[i : i + 1]) for i in range(7)], axis=1)
    difference = abs(together - alone).max()
    if artifact.facts.is_batch_invariant:
        assert difference < 1e-4
    else:
        assert difference > 0


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_artifact_called_from_several_threads_at_once_gives_the_same_logits(artifact_of, images, name, quantization):
    executor = artifact_of(name, quantization, 0.5).load(1)
    batches = [images[i : i + 4] for i in range(0, 64, 4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(executor.all_exits, batches))
    for batch, logits in zip(batches, together, strict=True):
        np.testing.assert_array_equal(executor.all_exits(batch), logits)


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_artifact_without_exits_has_one_segment_and_no_early_heads(artifact_of, images, name, quantization):
    cut, whole = artifact_of(name, quantization, 1.0), artifact_of(name, quantization, 0.5)
    assert cut.n_exits == 1
    assert whole.n_exits == 3
    assert cut.facts.n_parameters < whole.facts.n_parameters
    assert cut.size_mib < whole.size_mib
    final = cut.load(1).all_exits(images[:8])[0]
    tolerance = 1e-4 if quantization == "none" else 0.2
    assert abs(final - whole.load(1).all_exits(images[:8])[-1]).max() < tolerance


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_artifact_early_exits_are_those_of_the_stored_logits(artifact_of, images, name, quantization):
    artifact = artifact_of(name, quantization, 0.5)
    executor = artifact.load(1)
    logits = np.concatenate([executor.all_exits(images[i : i + 1]) for i in range(40)], axis=1)
    confidences = np.exp(logits[0]).max(axis=1) / np.exp(logits[0]).sum(axis=1)
    executor.threshold = float(np.median(confidences))
    taken = [int(executor.classify(images[i : i + 1])[1][0]) for i in range(40)]
    assert taken == exits_taken(logits, executor.threshold, confidence).tolist()
    assert 0 in taken
    assert len(set(taken)) > 1


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_artifact_facts_count_int8_layers(artifact_of, network, name, quantization):
    facts = artifact_of(name, quantization, 1.0).facts
    layers = [m for m in network.without_exits().modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert facts.n_layers == len(layers)
    if quantization == "none":
        assert facts.n_int8_layers == 0
        assert facts.int8_mac_share == 0
    else:
        assert 1 <= facts.n_int8_layers <= facts.n_layers
        assert 0 < facts.int8_mac_share <= 1


@pytest.mark.parametrize("name", RUNTIMES)
def test_export_unsupported_quantization_is_refused(tmp_path, network, images, name):
    for quantization in ALL_QUANTIZATIONS - runtime(name).quantizations:
        job = ExportJob(network, False, quantization, images[:8], tmp_path / "scratch")
        with pytest.raises(ExportFailed, match=f"{name} cannot execute {quantization}"):
            export_model(job, 1, (1.0,), name, tmp_path)


@pytest.mark.parametrize("name", RUNTIMES)
def test_probe_of_one_runtime_imports_no_other(artifact_of, name):
    """An ONNX Runtime probe never imports torch: its memory and its cold start would not be the ones that ship."""
    artifact = artifact_of(name, "none", 1.0)
    code = (
        "import sys, numpy as np; from pathlib import Path; from explorer.runtimes.artifact import Artifact;"
        f"Artifact.read(Path({str(artifact.folder)!r})).load(1).classify(np.zeros((1, 3, 16, 16), np.uint8));"
        "print([m for m in ('torch', 'onnxruntime', 'onnx', 'optuna', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    allowed = {"eager": ["torch"], "onnxruntime": ["onnxruntime"]}
    assert out.strip() == str(allowed.get(name, [name]))


# Imported, and after that loaded: a tiny network has no 40 MiB, and what torch imports to read a program has 170.
MEMORY = """
import importlib, sys
from pathlib import Path
from explorer.measure.probe import resident_mib
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.runtime import runtime
artifact = Artifact.read(Path(sys.argv[1]))
for module in runtime(artifact.facts.runtime).imports(artifact.facts.quantization):
    importlib.import_module(module)
before = resident_mib()["VmRSS"]
executor = artifact.load(1)
print(resident_mib()["VmRSS"] - before)
"""


@pytest.mark.parametrize(("name", "quantization"), CASES)
def test_runtime_imports_leave_only_the_program_to_be_loaded(artifact_of, name, quantization):
    folder = artifact_of(name, quantization, 1.0).folder
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, str(folder)]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 40


def test_artifact_folder_names_have_no_duplicates(artifact_of):
    ids = {artifact_of(name, quantization, t).id for name, quantization in CASES for t in (0.5, 0.6, 1.0)}
    assert len(ids) == 3 * len(CASES)
