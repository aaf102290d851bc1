from __future__ import annotations

import errno
import json
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from fakes import GAP
from kinds import KINDS
from pydantic import ValidationError

from explorer.deploy.export.bundle import check_target, target_folder
from explorer.deploy.export.plan import artifact_of, export_plan
from explorer.deploy.manifest import Manifest
from explorer.deploy.selection import Selection, choose
from explorer.errors import ExplorerError, StudyDamaged, StudyError, UsageError
from explorer.records import Measurement
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.int8_range import range_here
from explorer.study.read import load_result
from explorer.system.hashing import file_sha256


def test_target_new_folder_appears_whole(tmp_path):
    target = tmp_path / "deep" / "bundle"
    check_target(target, is_forced=False)
    with target_folder(target) as draft:
        (draft / "manifest.json").write_text("{}")
        assert not target.exists()
    assert (target / "manifest.json").read_text() == "{}"
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


def test_target_interrupted_leaves_nothing(tmp_path):
    def interrupted(draft):
        (draft / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), target_folder(tmp_path / "bundle") as draft:
        interrupted(draft)
    assert list(tmp_path.iterdir()) == []


def test_target_removes_what_a_killed_export_to_the_same_place_left_a_day_ago(tmp_path):
    old, young, other = (tmp_path / name for name in (".b[1].aa.tmp", ".b[1].bb.tmp", ".b1.cc.tmp"))
    for draft in (old, young, other):
        draft.mkdir()
    for draft in (old, other):
        os.utime(draft, (time.time() - 2 * 86_400, time.time() - 2 * 86_400))
    with target_folder(tmp_path / "b[1]") as draft:
        (draft / "manifest.json").write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, young.name, "b[1]"]


def test_target_existing_needs_force(tmp_path):
    (tmp_path / "manifest.json").write_text("old")
    with pytest.raises(UsageError, match="is there already: name another folder with -o, or replace it with --force"):
        check_target(tmp_path, is_forced=False)
    check_target(tmp_path, is_forced=True)


def test_target_forced_is_replaced_whole(tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "manifest.json").write_text("old")
    (target / "surplus").write_text("old")
    with target_folder(target) as draft:
        (draft / "manifest.json").write_text("new")
        assert (target / "manifest.json").read_text() == "old"
    assert {path.name: path.read_text() for path in target.iterdir()} == {"manifest.json": "new"}
    assert list(tmp_path.iterdir()) == [target]


def test_target_of_someone_elses_is_not_replaced_even_by_force(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not an earlier export, and --force replaces nothing else"):
        check_target(tmp_path, is_forced=True)


def test_target_file_or_link_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(UsageError, match="is not a folder"):
            check_target(tmp_path / name, is_forced=True)


def test_target_empty_folder_is_taken(tmp_path):
    check_target(tmp_path / "absent", is_forced=False)
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty", is_forced=False)
    with target_folder(tmp_path / "empty") as draft:
        (draft / "a").write_text("")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [(errno.ENOSPC, ExplorerError, "the disk of .* is full"), (errno.EACCES, UsageError, "cannot be written")],
)
def test_target_that_cannot_be_written_is_one_sentence(tmp_path, number, kind, message):
    with pytest.raises(kind, match=message), target_folder(tmp_path / "bundle"):
        raise OSError(number, "words")
    assert list(tmp_path.iterdir()) == []


def test_target_of_300_letters_is_a_sentence_and_leaves_nothing(tmp_path):
    target = tmp_path / ("x" * 300)
    check_target(target, is_forced=False)
    says = r"x cannot be written \(File name too long\): name another place with -o"
    with pytest.raises(UsageError, match=says), target_folder(target):
        pytest.fail("there is a folder of that name")
    assert list(tmp_path.iterdir()) == []


def manifest_of(bundle):
    return json.loads((bundle / "manifest.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_bundle_model_is_the_studys_artifact_byte_for_byte(kind, bundle_of, trial_of, small_study):
    bundle, trial = bundle_of(kind), trial_of(kind)
    artifact = Artifact.read(small_study.folder / "artifacts" / trial.outcome.artifact)
    names = ["artifact.json", *(segment.file for segment in artifact.facts.segments)]
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
def test_bundle_and_trial_state_the_range_of_the_artifacts_int8_weights(kind, bundle_of, trial_of):
    bundle, trial = bundle_of(kind), trial_of(kind)
    expected = range_here() if kind[:2] == ("onnxruntime", "static_int8") else None
    assert json.loads((bundle / "model" / "artifact.json").read_text())["int8_range"] == expected
    assert manifest_of(bundle)["execution"]["int8_range"] == expected
    assert trial.outcome.observation.build.int8_range == expected


@pytest.mark.parametrize("kind", KINDS)
def test_bundle_manifest_says_what_was_measured(kind, bundle_of, trial_of, small_study):
    facts, trial = manifest_of(bundle_of(kind)), trial_of(kind)
    assert facts["variant"] == trial.variant.to_json()
    assert facts["metrics"] == {name: m.to_json() for name, m in trial.outcome.metrics.items()}
    assert facts["exit_shares"] == [one.share for one in trial.outcome.observation.exits]
    assert facts["task"] == {"name": "classification", "facts": {"classes": [str(digit) for digit in range(10)]}}
    on_test = facts["test_accuracy"]
    assert 0 < on_test["low"] < on_test["value"] < on_test["high"] <= 1
    assert facts["inputs"] == [{"name": "images", "dtype": "uint8", "shape": [1, 8, 8]}]
    assert facts["outputs"] == [{"name": "logits", "dtype": "float32", "shape": [10]}]
    assert facts["input_facts"] == {"layout": "NCHW", "color": "gray", "range": [0, 255]}
    assert facts["normalization"] == small_study.provenance["input"]
    assert facts["normalization"]["stated"] is None
    assert 0 < facts["normalization"]["mean"][0] < 1
    assert facts["execution"]["plugin"] == "pareto-explorer"
    assert facts["execution"]["runtime"] == kind[0]
    needed = {"onnxruntime": {"onnxruntime"}, "eager": {"torch"} if kind[1] == "none" else {"torch", "torchao"}}
    assert set(facts["execution"]["packages"]) == needed[kind[0]]


@pytest.mark.parametrize("known", [{"mean": [0.5, 0.5]}, {"std": [0.0]}, {"std": []}, {"scale": 255}, {"mean": ["0"]}])
def test_manifest_of_a_normalization_that_is_none_is_refused(known, whole):
    facts = manifest_of(whole)
    stated = {"stated": "unit", "mean": [0.0], "std": [1.0]}
    assert Manifest.model_validate_json(json.dumps({**facts, "normalization": stated})).normalization is not None
    with pytest.raises(ValidationError):
        Manifest.model_validate_json(json.dumps({**facts, "normalization": stated | known}))


def test_bundle_manifest_of_a_confirmed_trial_has_the_confirmed_values_beside_those_of_its_samples(small_study):
    choice = choose(small_study, Selection(is_knee=True))
    leaving = export_plan(small_study, choice, artifact_of(small_study, choice.trial), Measurement.unknown("not asked"))
    facts = json.loads(leaving.manifest.model_dump_json())
    assert facts["metrics"] == {name: m.to_json() for name, m in choice.trial.outcome.metrics.items()}
    assert facts["confirmed"]["metrics"] == {name: m.to_json() for name, m in choice.confirmed.metrics.items()}
    assert facts["confirmed"]["rounds"] == 2  # as in tests/known_times.py
    assert facts["confirmed"]["metrics"]["latency_ms"]["n"] <= facts["confirmed"]["rounds"]
    assert 0 < facts["confirmed"]["probability"] <= 1
    assert facts["chosen"]["invalid"] == []
    assert Manifest.model_validate_json(leaving.manifest.model_dump_json()) == leaving.manifest


def test_bundle_manifest_of_an_invalid_trial_says_why(small_study):
    choice = choose(small_study, Selection(is_knee=True))
    doubtful = replace(choice.trial, outcome=replace(choice.trial.outcome, reasons=(GAP,)))
    artifact = artifact_of(small_study, choice.trial)
    leaving = export_plan(small_study, replace(choice, trial=doubtful), artifact, Measurement.unknown("not asked"))
    assert leaving.manifest.chosen.invalid == [GAP.sentence]


def test_bundle_samples_are_the_first_validation_images_with_their_outputs(bundle_of, validation):
    bundle = bundle_of(("onnxruntime", "static_int8", 0.8, 0.0))
    executor = Artifact.read(bundle / "model").load(1)
    with np.load(bundle / "samples.npz", allow_pickle=False) as samples:
        n = len(samples["inputs"])
        assert n == manifest_of(bundle)["samples"]["n"] == 16
        np.testing.assert_array_equal(samples["inputs"], validation.images[:n])
        np.testing.assert_array_equal(samples["targets"], validation.labels[:n])
        np.testing.assert_allclose(executor.all_exits(samples["inputs"]), samples["outputs"], atol=1e-5)
        logits, exits = executor.classify(samples["inputs"])
        np.testing.assert_array_equal(exits, samples["exits"])
        np.testing.assert_allclose(logits, samples["answers"], atol=1e-5)


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
    choice = choose(result, Selection(trial=trial.number), is_forced=True)
    artifact = artifact_of(result, trial)
    shutil.rmtree(artifact.folder / "measurements")
    with pytest.raises(StudyError, match=r"what trial .* made of the samples is not known"):
        export_plan(result, choice, artifact, Measurement.unknown("no data"))
    (folder / "samples.npz").write_bytes(b"no archive")
    with pytest.raises(StudyError, match=r"sample examples in .* do not read"):
        export_plan(result, choice, artifact, Measurement.unknown("no data"))
