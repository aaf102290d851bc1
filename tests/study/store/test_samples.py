from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import small_space
from odd_archives import odd_archives

from explorer.records import Measurement, TrialOutcome, Variant
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.samples import Samples, trial_outputs, trial_samples

ID = "8716a031ccafd45e0b64"


def trial(number, artifact=ID, latency_ms=2.0, variant=None) -> TrialRecord:
    metrics = {"latency_ms": Measurement(latency_ms), "latency_experienced_ms": Measurement(latency_ms)}
    return TrialRecord(number, "complete", TrialOutcome(variant or Variant(), metrics, artifact), {}, 0.0, 1.0)


def result(folder, *trials) -> StudyResult:
    return StudyResult("s", folder, small_space(), trials, {})


def keep(folder, record, number=None, **arrays) -> Path:
    """What `explorer.measure.probing` keeps of a trial; returns the archive."""
    target = folder / "artifacts" / ID / "measurements" / f"trial-{record.number if number is None else number:05d}.npz"
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "latency_ns": np.array([1_000_000, 2_000_000, 3_000_000]),
        "latency_counts": np.array([1, 0, 1]),
        "score_accuracy": np.array([1.0, 0.0]),
        "outputs": np.zeros((1, 2, 10), np.float32),
        **arrays,
    }
    np.savez(target, **kept)
    metrics = {name: measurement.to_json() for name, measurement in record.outcome.metrics.items()}
    target.with_suffix(".json").write_text(json.dumps({"variant": record.variant.to_json(), "metrics": metrics}))
    return target


def test_trial_samples_are_those_of_the_trial(tmp_path):
    one, other = trial(3), trial(4, latency_ms=5.0, variant=Variant(batch_size=4))
    keep(tmp_path, one)
    keep(tmp_path, other, latency_ns=np.array([7, 8, 9]))
    samples = trial_samples(result(tmp_path, one, other), other)
    assert isinstance(samples, Samples)
    assert samples.latency_ns.tolist() == [7, 9]
    assert samples.which.tolist() == [0, 2]
    assert samples.scores["accuracy"].tolist() == [1.0, 0.0]


def test_trial_samples_of_a_forked_trial_are_found_under_the_old_number(tmp_path):
    keep(tmp_path, trial(9), number=3)
    assert isinstance(trial_samples(result(tmp_path), trial(9)), Samples)


def test_trial_samples_are_found_where_only_one_of_file_and_record_was_judged_again(tmp_path):
    before = trial(3)
    metrics = {**before.outcome.metrics, "latency_ms": Measurement(1.5)}
    keep(tmp_path, replace(before, outcome=replace(before.outcome, metrics=metrics)))
    assert isinstance(trial_samples(result(tmp_path), before), Samples)


def test_trial_samples_of_another_measurement_are_not_taken(tmp_path):
    keep(tmp_path, trial(3, latency_ms=2.5))
    why = trial_samples(result(tmp_path), trial(3, latency_ms=2.0))
    assert why == "no measurement beside the artifact is this trial's"


def test_trial_samples_missing_artifact_says_so(tmp_path):
    assert "does not have the trial's artifact" in trial_samples(result(tmp_path), trial(0))
    assert "has no artifact" in trial_samples(result(tmp_path), trial(0, artifact=None))


@pytest.mark.parametrize("artifact", ["../..", "..", ".", "", "a/b", "/etc", "a\x00b", "%2e%2e%2f", "..\\.."])
def test_trial_samples_artifact_that_is_a_path_is_refused(tmp_path, artifact):
    assert trial_samples(result(tmp_path), trial(0, artifact)) == "the trial's artifact is not in the study's folder"


def test_trial_samples_link_out_of_the_study_is_refused(tmp_path):
    record = trial(0)
    keep(tmp_path / "elsewhere", record)
    own = tmp_path / "own"
    (own / "artifacts").mkdir(parents=True)
    (own / "artifacts" / ID).symlink_to(tmp_path / "elsewhere" / "artifacts" / ID)
    assert trial_samples(result(own), record) == "the trial's artifact is not in the study's folder"
    (own / "artifacts" / ID).unlink()
    archive = keep(own, record)
    archive.unlink()
    archive.symlink_to(tmp_path / "elsewhere" / "artifacts" / ID / "measurements" / archive.name)
    assert trial_samples(result(own), record) == "the trial's samples are not in the study's folder"
    shutil.rmtree(own / "artifacts" / ID)
    (own / "artifacts" / ID).symlink_to(own / "artifacts" / ID)
    assert isinstance(trial_samples(result(own), record), str)


def test_trial_samples_damaged_archive_says_so(tmp_path):
    record = trial(0)
    archive = keep(tmp_path, record)
    whole = archive.read_bytes()
    middle = len(whole) // 3
    for content in (
        b"",
        b"PK",
        whole[:-40],
        whole[:200],
        whole[:100] + b"\xff" * 80 + whole[180:],
    ):
        archive.write_bytes(content)
        assert "do not read" in trial_samples(result(tmp_path), record)
    archive.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    assert isinstance(trial_samples(result(tmp_path), record), str | Samples)
    archive.unlink()
    assert "do not read" in trial_samples(result(tmp_path), record)
    archive.with_suffix(".json").write_text("{")
    assert "no measurement" in trial_samples(result(tmp_path), record)


def test_trial_samples_archive_that_looks_whole_and_does_not_read_says_so(tmp_path):
    record = trial(0)
    archive = keep(tmp_path, record)
    for content in odd_archives("latency_ns", "answers", "outputs", "exits"):
        archive.write_bytes(content)
        assert "do not read" in trial_samples(result(tmp_path), record)
        assert "do not read" in trial_outputs(result(tmp_path), record, 2)


@pytest.mark.parametrize(
    "arrays",
    [
        {"latency_ns": np.array([], np.int64)},
        {"latency_ns": np.array([-1])},
        {"latency_ns": np.array([1.5])},
        {"latency_counts": np.array([0, 0, 0])},
        {"latency_counts": np.array([0, 0, 0, 1])},
        {"latency_counts": np.array(["1"])},
        {"latency_ns": np.array([[1]])},
        {"score_accuracy": np.array(["a"])},
        {"score_accuracy": np.array([[1.0]])},
        {"score_accuracy": np.array([np.nan])},
        {"score_accuracy": np.array([{}], dtype=object)},
    ],
)
def test_trial_samples_of_the_wrong_kind_say_so(tmp_path, arrays):
    record = trial(0)
    keep(tmp_path, record, **arrays)
    assert "do not read" in trial_samples(result(tmp_path), record)


def test_trial_samples_record_with_other_json_values_is_passed_over(tmp_path):
    record = replace(trial(0))
    archive = keep(tmp_path, record)
    for text in ("[]", "null", '{"metrics": []}', '{"metrics": {"latency_ms": 1}}'):
        archive.with_suffix(".json").write_text(text)
        assert trial_samples(result(tmp_path), record) == "no measurement beside the artifact is this trial's"
