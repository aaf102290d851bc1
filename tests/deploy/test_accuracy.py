"""Accuracy anew: which data count as the study's, and when a stated interval holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from tiny_bundle import DATA, write_tiny_bundle

from explorer.data import registry
from explorer.deploy import accuracy
from explorer.deploy.accuracy import Held, accuracy_rows, held_data
from explorer.deploy.again import Again
from explorer.deploy.manifest import Metric
from explorer.deploy.reading import Bundle, read_bundle
from explorer.measure.child import ChildFailed
from explorer.records import Measurement


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
    assert isinstance(held, Held)
    assert held.splits.fingerprint == bundle.manifest.provenance.data.splits
    assert len(held.splits.validation) == DATA.validation


@pytest.mark.parametrize(
    ("settings", "facts", "match"),
    [
        (asdict(DATA), {"fingerprint": "0" * 64}, "is not the one of the study"),
        (asdict(DATA), {"splits": "0" * 64}, "the validation images of digits are others here"),
        ({**asdict(DATA), "validation": 100}, {}, "the validation images of digits are others here"),
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


@pytest.fixture
def rows_of(bundle, tmp_path, monkeypatch):
    """The rows when the model is found to have this accuracy."""

    def rows(stated: Metric | None, found: float | ChildFailed):
        def judge(*_):
            if isinstance(found, ChildFailed):
                raise found
            return type("Judged", (), {"accuracy": Measurement(found, found - 0.01, found + 0.01, 200)})

        monkeypatch.setattr(accuracy, "judge", judge)
        metrics = {"accuracy": stated} if stated else {}
        manifest = bundle.manifest.model_copy(update={"metrics": metrics})
        again = Again(Bundle(Path(bundle.folder), manifest), tmp_path, True, None, lambda _: None)
        return accuracy_rows(again, held_data(bundle.manifest, None))

    return rows


STATED = Metric(value=0.92, low=0.88, high=0.95, n=200)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [(0.92, "holds"), (0.88, "holds"), (0.95, "holds"), (0.8799, "fails"), (0.9501, "fails"), (0.0, "fails")],
)
def test_accuracy_rows_holds_in_the_stated_interval_alone(rows_of, found, verdict):
    row = rows_of(STATED, found)[0]
    assert (row.what, row.verdict) == ("accuracy", verdict)
    assert row.promised == Measurement(0.92, 0.88, 0.95, 200)
    assert row.why == {0.92: "exactly as stated"}.get(
        found, "" if verdict == "holds" else "it does not lie in the stated interval"
    )


def test_accuracy_rows_not_stated_is_not_checked(rows_of):
    for stated in (None, Metric(value=None, why="nobody measured it")):
        row = rows_of(stated, 0.9)[0]
        assert (row.verdict, row.why) == ("not checked", "the manifest does not state it")


def test_accuracy_rows_crash_fails_with_its_reason(rows_of):
    rows = rows_of(STATED, ChildFailed("no result", "it ended"))
    assert [row.verdict for row in rows] == ["fails", "fails"]
    assert rows[0].found == "the model does not run: it ended"


def test_accuracy_rows_without_data_are_not_checked(bundle, tmp_path):
    again = Again(bundle, tmp_path, True, None, lambda _: None)
    rows = accuracy_rows(again, "there are none")
    assert [(row.what, row.verdict, row.why) for row in rows] == [
        ("accuracy", "not checked", "there are none"),
        ("test accuracy", "not checked", "there are none"),
    ]
