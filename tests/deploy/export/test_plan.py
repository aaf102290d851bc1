"""The artifact of a study that may come from somebody else: looked at before it is loaded or copied."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from explorer.deploy.export.plan import artifact_of
from explorer.errors import StudyDamaged
from explorer.system.hashing import file_sha256


@pytest.fixture
def plant(whole, tmp_path):
    """A study's folder with the artifact of the tiny bundle, after a stranger's change to it."""
    folder = tmp_path / "artifacts" / "a1"
    folder.mkdir(parents=True)
    for path in (whole / "model").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())

    def change(name: str | None = None, content: bytes | None = None, text: str | None = None):
        facts = json.loads((folder / "artifact.json").read_text())
        segment = facts["segments"][0]
        if content is not None:
            (folder / segment["file"]).write_bytes(content)
            segment["sha256"] = file_sha256(folder / segment["file"])
        if name is not None:
            segment["file"] = name
        (folder / "artifact.json").write_text(json.dumps(facts) if text is None else text)
        trial = SimpleNamespace(number=3, outcome=SimpleNamespace(artifact="a1"))
        return artifact_of(SimpleNamespace(folder=tmp_path), trial)

    return change


def refused(match: str, plant, **change) -> None:
    with pytest.raises(StudyDamaged, match=match) as caught:
        plant(**change)
    assert caught.value.exit_code == 6


def test_artifact_of_an_honest_study_is_given(plant):
    assert plant().n_exits == 2


def test_artifact_of_unsafe_file_with_its_right_hash_is_refused(plant):
    refused(r"'segment_0\.onnx' is not an ONNX model: nothing of .* is loaded or exported", plant, content=b"no model")


def test_artifact_of_name_that_leads_out_of_the_folder_is_refused(plant, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes((tmp_path / "artifacts" / "a1" / "segment_0.onnx").read_bytes())
    refused(r"segments\.0\.file is .*: expected the name of a file in this folder", plant, name="../../secret")


def test_artifact_of_file_that_is_not_there_is_refused(plant):
    refused(r"segment_9\.onnx in .* changed since the measurement", plant, name="segment_9.onnx")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 2, "segments": [3]}'])
def test_artifact_of_description_that_does_not_read_is_refused(plant, text):
    refused("the artifact of trial 3 does not read", plant, text=text)
