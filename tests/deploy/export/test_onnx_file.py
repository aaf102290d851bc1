"""model.onnx of every kind of variant: what the bundle decides, in one file that says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from kinds import KINDS

from explorer.deploy.export.onnx_file import onnx_model, write_onnx
from explorer.deploy.export.plan import ExportPlan
from explorer.deploy.manifest import MANIFEST, MODEL, Manifest
from explorer.errors import UsageError
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.onnxruntime_loading import session_of
from explorer.system.hashing import file_sha256

OF_ONNX = [kind for kind in KINDS if kind.values[0][0] == "onnxruntime"]
WITHOUT_EXITS = ("onnxruntime", "static_int8", 1.0, 0.3)
WITH_EXITS = ("onnxruntime", "none", 0.8, 0.0)


def read(bundle: Path) -> tuple[Artifact, Manifest]:
    return Artifact.read(bundle / MODEL), Manifest.model_validate_json((bundle / MANIFEST).read_bytes())


@pytest.mark.parametrize("kind", OF_ONNX)
def test_write_onnx_any_kind_gives_the_bundles_classes_and_exits(bundle_of, validation, tmp_path, kind):
    artifact, manifest = read(bundle_of(kind))
    write_onnx(tmp_path, ExportPlan(artifact, manifest, b""))
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    staged, model = artifact.load(1), session_of(str(tmp_path / "model.onnx"), 1)
    left = set()
    for image in validation.images:
        logits, exits = staged.classify(image[None])
        made = model(image[None])
        assert made[0].argmax() == logits.argmax()
        np.testing.assert_allclose(made[0], logits, atol=1e-4)
        assert [output.tolist() for output in made[1:]] == ([exits.tolist()] if artifact.n_exits > 1 else [])
        left.add(int(exits[0]))
    assert (len(left) > 1) == (artifact.n_exits > 1)


def test_onnx_model_with_exits_says_what_it_is(bundle_of):
    artifact, manifest = read(bundle_of(WITH_EXITS))
    model = onnx.load_model_from_string(onnx_model(artifact, manifest))
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert (said["name"], said["study"], said["trial"]) == (manifest.name, "small", str(manifest.chosen.trial))
    assert json.loads(said["classes"]) == [str(digit) for digit in range(10)]
    assert json.loads(said["exit_threshold"]) == 0.8
    assert json.loads(said["variant"])["width"] == 0.5
    assert json.loads(said["input"]) == {
        "dtype": "uint8",
        "layout": "NCHW",
        "color": "gray",
        "range": [0, 255],
        "shape": [1, 8, 8],
        "normalization": json.loads(manifest.normalization.model_dump_json()),
    }
    assert json.loads(said["input"])["normalization"]["stated"] is None  # the family's own, of its training images
    accuracy = json.loads(said["accuracy"])
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert json.loads(said["test_accuracy"])["n"] == manifest.test_quality["accuracy"].n
    files = [artifact.folder / f"segment_{index}.onnx" for index in range(3)]
    assert json.loads(said["segments_sha256"]) == [file_sha256(file) for file in files]
    assert said["created"] == manifest.provenance.created


def test_onnx_model_of_one_segment_begins_with_the_measured_files_bytes(bundle_of):
    artifact, manifest = read(bundle_of(WITHOUT_EXITS))
    assert onnx_model(artifact, manifest).startswith((artifact.folder / "segment_0.onnx").read_bytes())


def test_onnx_model_of_an_eager_variant_is_refused(bundle_of):
    artifact, manifest = read(bundle_of(("eager", "none", 1.0, 0.0)))
    with pytest.raises(UsageError, match=rf"{manifest.name} runs in eager and has no ONNX form: .* --format bundle"):
        onnx_model(artifact, manifest)
