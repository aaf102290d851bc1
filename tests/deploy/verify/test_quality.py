"""Accuracy anew: which data count as the study's, and when a stated interval holds."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import DATA, write_tiny_bundle

from explorer import intervals
from explorer.data import source as registry
from explorer.deploy.manifest import Metric
from explorer.deploy.verify import quality
from explorer.deploy.verify.bundle import Bundle, read_bundle
from explorer.deploy.verify.quality import StudyData, data_rows, held_data, quality_rows
from explorer.deploy.verify.report import Remeasurement
from explorer.deploy.verify.samples import read_samples, settled
from explorer.measure.quality_pass import QualityPass
from explorer.system.worker_process import WorkerFailed


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    """An honest bundle."""
    return read_bundle(write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle"))


def with_data(bundle: Bundle, settings: object, **facts: object):
    """Its manifest with other settings of the data, or other facts of them."""
    provenance = bundle.manifest.provenance
    data = provenance.data.model_copy(update=facts)
    changed = provenance.model_copy(update={"search_space": {"data": settings}, "data": data})
    return bundle.manifest.model_copy(update={"provenance": changed})


def test_held_data_of_the_study_are_found(bundle):
    held = held_data(bundle.manifest, None)
    assert isinstance(held, StudyData)
    assert held.splits.fingerprint == bundle.manifest.provenance.data.splits
    assert len(held.splits.validation) == DATA.validation


@pytest.mark.parametrize(
    ("settings", "facts", "match"),
    [
        (asdict(DATA), {"fingerprint": "0" * 64}, "is not the one of the study"),
        (asdict(DATA), {"splits": "0" * 64}, "the validation split of digits is another one here"),
        ({**asdict(DATA), "validation": 100}, {}, "the validation split of digits is another one here"),
        ({**asdict(DATA), "validation": 10**9}, {}, "data.validation is 1000000000"),
        ({**asdict(DATA), "validation": "200"}, {}, "does not say which data"),
        ({**asdict(DATA), "name": "unheard_of"}, {}, "data.name must be one of"),
        ({**asdict(DATA), "name": "image_folder", "path": "nowhere"}, {}, "was not found"),
        ({**asdict(DATA), "name": "image_folder", "path": "../elsewhere"}, {}, "outside of the data folder"),
        ({**asdict(DATA), "name": "image_folder", "path": "/etc"}, {}, "outside of the data folder"),
        ({**asdict(DATA), "name": "image_folder", "path": "~root"}, {}, "outside of the data folder"),
        ({**asdict(DATA), "name": "image_folder", "path": "a\0b"}, {}, "outside of the data folder"),
        ({**asdict(DATA), "name": "image_folder", "path": "x" * 5000}, {}, "outside of the data folder"),
        (None, {}, "does not say which data"),
        ([], {}, "does not say which data"),
    ],
)
def test_held_data_others_are_not_at_hand_for_a_reason(bundle, tmp_path, settings, facts, match):
    why = held_data(with_data(bundle, settings, **facts), tmp_path)
    assert isinstance(why, str)
    assert match in why


def test_held_data_that_could_be_downloaded_are_not(bundle, tmp_path, monkeypatch):
    module = registry.plugin("cifar10")
    monkeypatch.setattr(module, "_why_no_download", lambda root: None)
    monkeypatch.setattr(module, "download", lambda *_: pytest.fail("it was downloaded"))
    why = held_data(with_data(bundle, {**asdict(DATA), "name": "cifar10"}), tmp_path)
    assert isinstance(why, str)
    assert "cifar10 is not in" in why
    assert list(tmp_path.iterdir()) == []


def judged(bundle: Bundle, labels: np.ndarray, n_right: int, n_open: int = 0) -> QualityPass:
    """What a model makes of images when it is right on the first `n_right`, and undecided on the last `n_open`."""
    logits = np.zeros((bundle.artifact.n_exits, len(labels), 10), dtype=np.float32)
    predictions = np.where(np.arange(len(labels)) < n_right, labels, (labels + 1) % 10)
    logits[:, np.arange(len(labels)), predictions] = 20.0
    is_open = np.arange(len(labels)) >= len(labels) - n_open
    logits[:, is_open, labels[is_open]] = 20.0
    return QualityPass(
        {"accuracy": intervals.share(n_right, len(labels))},
        logits,
        np.zeros(len(labels), dtype=np.int64),
        np.eye(10, dtype=np.float32)[predictions],
        ("onnxruntime",),
    )


@pytest.fixture
def rows_of(bundle, tmp_path, monkeypatch):
    """The rows, by what they are about, when the model is found to be right on so many of 200 images."""

    def rows(stated: Metric | None, found: int | WorkerFailed, n_open: int = 0, is_same: bool = True, **changes):
        def classify(artifact, variant, data, *_):
            if isinstance(found, WorkerFailed):
                raise found
            return judged(bundle, np.load(data.targets), found, n_open)

        monkeypatch.setattr(quality, "run_quality_pass", classify)
        metrics = {"accuracy": stated} if stated else {}
        manifest = bundle.manifest.model_copy(update={"metrics": metrics, **changes})
        again = Remeasurement(Bundle(Path(bundle.folder), manifest), tmp_path, is_same, None, lambda _: None)
        return {row.what: row for row in quality_rows(again, held_data(bundle.manifest, None))}

    return rows


def share(n_right: int) -> Metric:
    return Metric(**asdict(intervals.share(n_right, 200)))


def test_quality_rows_exactly_as_stated_holds(rows_of):
    row = rows_of(share(184), 184)["accuracy"]
    assert (row.verdict, row.why, row.how) == ("holds", "exactly as stated", "recomputed")


@pytest.mark.parametrize("n_stated", [183, 185, 190, 200])
def test_quality_rows_other_by_a_single_image_fails_within_its_interval(rows_of, n_stated):
    row = rows_of(share(n_stated), 184)["accuracy"]
    assert (row.verdict, row.why) == ("fails", "184 of 200 are right")


@pytest.mark.parametrize(("n_stated", "verdict"), [(183, "fails"), (185, "holds"), (187, "holds"), (188, "fails")])
def test_quality_rows_images_too_close_to_call_may_be_right_or_wrong(rows_of, n_stated, verdict):
    assert rows_of(share(n_stated), 184, n_open=3)["accuracy"].verdict == verdict


def test_quality_rows_on_another_device_int8_leaves_more_open(bundle, rows_of, monkeypatch):
    """What a step of eight bits may turn there is settled where processor and versions are the same."""
    near = judged(bundle, np.zeros(200, dtype=np.int64), 184)
    near.outputs[:, 190:, 0] = 19.5
    monkeypatch.setattr(quality, "run_quality_pass", lambda *_: near)
    execution = bundle.manifest.execution.model_copy(update={"quantization": "static_int8"})
    for is_same, n_open in ((True, 0), (False, 10)):
        again = Remeasurement(
            Bundle(bundle.folder, bundle.manifest.model_copy(update={"execution": execution})),
            Path("nowhere"),
            is_same,
            None,
            lambda _: None,
        )
        assert (~settled(again.bundle, near.outputs, near.exits, again.tolerance)).sum() == n_open


def test_quality_rows_shares_of_the_exits_are_compared(rows_of):
    assert rows_of(share(184), 184, exit_shares=[1.0])["exit shares"].verdict == "holds"
    assert rows_of(share(184), 184, exit_shares=[0.5])["exit shares"].verdict == "fails"


def test_quality_rows_not_stated_is_not_checked(rows_of):
    for stated in (None, Metric(value=None, why="nobody measured it")):
        row = rows_of(stated, 180)["accuracy"]
        assert (row.verdict, row.why) == ("not checked", "the manifest does not state it")


def test_quality_rows_crash_fails_with_its_reason(rows_of):
    rows = rows_of(share(184), WorkerFailed("no result", "it ended"))
    assert [row.verdict for row in rows.values()] == ["fails", "fails"]
    assert rows["accuracy"].found == "the model does not run: it ended"


def test_quality_rows_without_data_are_not_checked(bundle, tmp_path):
    again = Remeasurement(bundle, tmp_path, True, None, lambda _: None)
    rows = quality_rows(again, "there are none")
    assert [(row.what, row.verdict, row.why) for row in rows] == [
        ("accuracy", "not checked", "there are none"),
        ("test accuracy", "not checked", "there are none"),
    ]


@pytest.fixture
def facts_of(bundle):
    """The rows about the data, by name, of a manifest with these parts, and of these samples."""
    samples = read_samples((bundle.folder / "samples.npz").read_bytes(), bundle.manifest)

    def rows(samples=samples, data=None, **parts):
        manifest = bundle.manifest.model_copy(update=parts)
        found = held_data(bundle.manifest, None) if data is None else data
        return {row.what: row for row in data_rows(Bundle(bundle.folder, manifest), samples, found)}

    return rows


def test_data_rows_honest_hold(facts_of):
    rows = facts_of()
    assert {name: row.verdict for name, row in rows.items()} == dict.fromkeys(
        ["data", "classes", "sample images"], "holds"
    )
    assert rows["classes"].found == "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


def test_data_rows_without_the_data_are_the_senders_word(facts_of):
    rows = facts_of(data="there are none")
    assert {(row.how, row.why) for row in rows.values()} == {("sender's word", "there are none")}


@pytest.mark.parametrize(
    ("classes", "why"),
    [
        (["1", "0", *"23456789"], "number 0 is '0' here, not '1'"),
        ([*"012345678", "cat"], "number 9 is '9' here, not 'cat'"),
        ([*"012345678"], "the data set has 10"),
        ([*"0123456789", "10"], "the data set has 10"),
    ],
)
def test_data_rows_other_classes_or_another_order_fail(bundle, facts_of, classes, why):
    task = bundle.manifest.task.model_copy(update={"facts": {"classes": classes}})
    row = facts_of(task=task)["classes"]
    assert (row.verdict, row.why) == ("fails", why)


@pytest.mark.parametrize("change", [{"n_test": 10_000}, {"n_training": 0}, {"name": "cifar10"}, {"kind": "official"}])
def test_data_rows_other_facts_fail(bundle, facts_of, change):
    provenance = bundle.manifest.provenance
    changed = provenance.model_copy(update={"data": provenance.data.model_copy(update=change)})
    assert facts_of(provenance=changed)["data"].verdict == "fails"


def test_data_rows_other_labels_of_the_samples_fail(bundle, facts_of):
    samples = read_samples((bundle.folder / "samples.npz").read_bytes(), bundle.manifest)
    assert facts_of(samples=replace(samples, targets=samples.targets[::-1]))["sample images"].verdict == "fails"
    assert facts_of(samples=replace(samples, inputs=samples.inputs[::-1]))["sample images"].verdict == "fails"


@pytest.mark.parametrize(("factor", "failing"), [(1.0, []), (0.1, ["mega_macs"]), (10.0, ["mega_macs"])])
def test_quality_rows_interval_of_the_compute_is_that_of_the_exits_taken(whole, tmp_path, factor, failing):
    bundle = read_bundle(whole)
    macs = bundle.manifest.metrics["mega_macs"]
    half = factor * (macs.high - macs.value)
    changed = macs.model_copy(update={"low": macs.value - half, "high": macs.value + half})
    manifest = bundle.manifest.model_copy(update={"metrics": {**bundle.manifest.metrics, "mega_macs": changed}})
    again = Remeasurement(Bundle(whole, manifest), tmp_path, True, None, lambda _: None)
    rows = quality_rows(again, held_data(bundle.manifest, None))
    assert [row.what for row in rows if row.verdict == "fails"] == failing
    assert {row.what for row in rows} >= {"accuracy", "exit shares", "test accuracy"}


ERRORS = np.linspace(0.0, 1.0, 200)
HEIGHT = intervals.mean(ERRORS)


def heights_row(stated, n_open=0, bounds=(0.0, math.inf)):
    """The row of an error of heights that was found to be HEIGHT, with the last `n_open` sites not settled."""
    is_open = np.arange(200) >= 200 - n_open
    return quality._quality_row("e", stated, quality._Found.of(HEIGHT, ERRORS, is_open, bounds), "sites")


def test_quality_rows_of_another_task_hold_exactly_or_within_what_is_open():
    assert heights_row(HEIGHT).why == "exactly as stated"
    near = replace(HEIGHT, value=HEIGHT.value + 1e-3)
    assert heights_row(near, n_open=200).why == "200 of 200 sites are too close to call"
    assert (heights_row(near).verdict, heights_row(near).why) == ("fails", "it is 0.5 here")
    assert heights_row(near, n_open=1, bounds=(0.0, 1.0)).why == "0.501 is stated, 0.495 to 0.5 is possible"


def test_quality_rows_of_a_metric_of_the_whole_set_hold_near_what_was_found_where_examples_are_open():
    near = replace(HEIGHT, value=HEIGHT.value + 1e-3)
    for n_open, verdict in ((0, "fails"), (1, "holds")):
        found = quality._Found.of(HEIGHT, None, np.arange(200) < n_open, (0.0, 1.0))
        assert quality._quality_row("e", near, found, "sites").verdict == verdict


def test_quality_rows_of_another_task_with_a_lie_about_the_interval_fail():
    assert heights_row(replace(HEIGHT, high=9.0)).why == "its interval is another one"
    wide = replace(HEIGHT, value=HEIGHT.value + 0.2, low=-9.0, high=9.0)
    assert heights_row(wide, n_open=200).verdict == "fails"
    assert heights_row(replace(wide, low=None, high=None), n_open=200).verdict == "fails"


def test_data_rows_facts_that_are_no_lists_are_compared_whole():
    assert quality._fact_row("unit", "m", "m").verdict == "holds"
    assert quality._fact_row("unit", "ft", "m").why == "it is m here"
