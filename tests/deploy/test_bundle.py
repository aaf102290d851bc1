from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from kinds import KINDS

from explorer.deploy.choice import Wish, choose
from explorer.deploy.facts import artifact_of, departure
from explorer.deploy.manifest import Manifest
from explorer.errors import StudyDamaged, StudyError
from explorer.hashing import file_sha256
from explorer.records import Measurement
from explorer.runtimes.artifact import Artifact
from explorer.study.read import load_result


def manifest_of(bundle):
    return json.loads((bundle / "manifest.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_bundle_model_is_the_studys_artifact_byte_for_byte(kind, bundle_of, trial_of, small_study):
    bundle, trial = bundle_of(kind), trial_of(kind)
    artifact = Artifact.read(small_study.folder / "artifacts" / trial.outcome.artifact)
    names = ["artifact.json", *(segment["file"] for segment in artifact.facts["segments"])]
    assert sorted(path.name for path in (bundle / "model").iterdir()) == sorted(names)
    for name in names:
        assert (bundle / "model" / name).read_bytes() == (artifact.folder / name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_bundle_manifest_lists_every_file_and_reads_back(kind, bundle_of):
    bundle = bundle_of(kind)
    text = (bundle / "manifest.json").read_text()
    manifest = Manifest.model_validate_json(text)
    assert manifest.model_dump_json(indent=1) + "\n" == text
    present = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()} - {"manifest.json"}
    assert set(manifest.files) == present
    for name, facts in manifest.files.items():
        assert facts.sha256 == file_sha256(bundle / name)
        assert facts.bytes == (bundle / name).stat().st_size


@pytest.mark.parametrize("kind", KINDS)
def test_bundle_manifest_says_what_was_measured(kind, bundle_of, trial_of):
    facts, trial = manifest_of(bundle_of(kind)), trial_of(kind)
    assert facts["variant"] == trial.variant.to_json()
    assert facts["metrics"] == {name: m.to_json() for name, m in trial.outcome.metrics.items()}
    assert facts["exit_shares"] == trial.outcome.details["exit_shares"]
    assert 0 < facts["test_accuracy"]["low"] < facts["test_accuracy"]["value"] < facts["test_accuracy"]["high"] <= 1
    assert facts["input"] == {
        "name": "images",
        "dtype": "uint8",
        "layout": "NCHW",
        "color": "gray",
        "range": [0, 255],
        "shape": [1, 8, 8],
    }
    assert facts["output"]["classes"] == [str(digit) for digit in range(10)]
    assert facts["execution"]["runtime"] == kind[0]
    needed = {"onnxruntime": {"onnxruntime"}, "eager": {"torch"} if kind[1] == "none" else {"torch", "torchao"}}
    assert set(facts["execution"]["packages"]) == needed[kind[0]]


def test_bundle_manifest_of_a_confirmed_trial_has_the_confirmed_values_beside_those_of_its_samples(small_study):
    choice = choose(small_study, Wish(is_knee=True))
    leaving = departure(small_study, choice, artifact_of(small_study, choice.trial), Measurement.unknown("not asked"))
    facts = json.loads(leaving.manifest.model_dump_json())
    assert facts["metrics"] == {name: m.to_json() for name, m in choice.trial.outcome.metrics.items()}
    assert facts["confirmed"]["metrics"] == {name: m.to_json() for name, m in choice.confirmed.metrics.items()}
    assert facts["confirmed"]["rounds"] >= 5
    assert facts["confirmed"]["metrics"]["latency_ms"]["n"] <= facts["confirmed"]["rounds"]
    assert 0 < facts["confirmed"]["probability"] <= 1
    assert facts["chosen"]["invalid"] == []
    assert Manifest.model_validate_json(leaving.manifest.model_dump_json()) == leaving.manifest


def test_bundle_manifest_of_an_invalid_trial_says_why(small_study):
    choice = choose(small_study, Wish(is_knee=True))
    doubtful = replace(choice.trial, outcome=replace(choice.trial.outcome, invalid=("a gap in the clock",)))
    artifact = artifact_of(small_study, choice.trial)
    leaving = departure(small_study, replace(choice, trial=doubtful), artifact, Measurement.unknown("not asked"))
    assert leaving.manifest.chosen.invalid == ["a gap in the clock"]


def test_bundle_samples_are_the_first_validation_images_with_their_outputs(bundle_of, validation):
    bundle = bundle_of(("onnxruntime", "static_int8", 0.8, 0.0))
    executor = Artifact.read(bundle / "model").load(1)
    with np.load(bundle / "samples.npz", allow_pickle=False) as samples:
        n = len(samples["images"])
        assert n == manifest_of(bundle)["samples"]["n"] == 16
        np.testing.assert_array_equal(samples["images"], validation.images[:n])
        np.testing.assert_array_equal(samples["labels"], validation.labels[:n])
        np.testing.assert_allclose(executor.all_exits(samples["images"]), samples["logits"], atol=1e-5)
        logits, exits = executor.classify(samples["images"])
        np.testing.assert_array_equal(exits, samples["exits"])
        np.testing.assert_array_equal(logits.argmax(axis=1), samples["predictions"])


def test_bundle_manifest_has_nothing_of_the_users_surroundings(bundle_of, monkeypatch):
    import getpass
    import os
    import socket

    text = (bundle_of(("eager", "none", 1.0, 0.0)) / "manifest.json").read_text()
    for private in (os.getcwd(), os.path.expanduser("~") + "/", socket.gethostname()):
        assert private not in text
    assert f'"{getpass.getuser()}"' not in text
    assert "/tmp" not in text


def test_bundle_requirements_name_exact_versions(bundle_of):
    lines = (bundle_of(("onnxruntime", "none", 1.0, 0.0)) / "requirements.txt").read_text().splitlines()
    assert [line.split("==")[0] for line in lines] == ["numpy", "onnxruntime", "pillow"]
    assert all(line.count("==") == 1 and line.split("==")[1][0].isdigit() for line in lines)


def test_departure_of_a_changed_artifact_is_refused(small_study, trial_of, tmp_path):
    folder = shutil.copytree(small_study.folder, tmp_path / "small")
    trial = trial_of(("onnxruntime", "none", 1.0, 0.0))
    file = folder / "artifacts" / trial.outcome.artifact / "segment_0.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(StudyDamaged, match=r"segment_0\.onnx in .* changed since the measurement"):
        artifact_of(load_result(folder), trial)


def test_departure_without_what_was_measured_is_refused(small_study, trial_of, tmp_path):
    folder = shutil.copytree(small_study.folder, tmp_path / "small")
    result = load_result(folder)
    trial = trial_of(("onnxruntime", "none", 1.0, 0.0))
    choice = choose(result, Wish(trial=trial.number), is_forced=True)
    artifact = artifact_of(result, trial)
    shutil.rmtree(artifact.folder / "measurements")
    with pytest.raises(StudyError, match=r"what trial .* made of the sample images is not known"):
        departure(result, choice, artifact, Measurement.unknown("no data"))
    (folder / "samples.npz").write_bytes(b"no archive")
    with pytest.raises(StudyError, match=r"sample images in .* do not read"):
        departure(result, choice, artifact, Measurement.unknown("no data"))
