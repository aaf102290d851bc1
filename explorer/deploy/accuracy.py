"""The accuracy of a bundle anew: on the study's own images where they are at hand, in a fresh probe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from explorer.data import split
from explorer.data.dataset import Dataset
from explorer.data.splits import Splits
from explorer.deploy.again import Again, measurement, not_checked
from explorer.deploy.held_out import data_at_hand
from explorer.deploy.manifest import Manifest
from explorer.deploy.report import Row
from explorer.errors import UsageError
from explorer.measure.child import ChildFailed
from explorer.measure.judging import judge
from explorer.records import Measurement, Progress
from explorer.space.values import DataSettings


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The study's data set, at hand, and its splits."""

    dataset: Dataset
    splits: Splits


def held_data(manifest: Manifest, root: Path | None) -> Held | str:
    """The data of the study, which are never downloaded; or why they are not at hand, in a sentence. Raises OSError."""
    facts = manifest.provenance.data
    try:
        text = json.dumps(manifest.provenance.search_space.get("data"))
        settings = TypeAdapter(DataSettings).validate_json(text, strict=True)
    except ValidationError:
        return "the manifest does not say which data they were"
    if settings.path is not None and not _is_inside(settings.path):
        return f"the manifest names data outside of the data folder: {settings.path[:200]!r}"
    dataset = data_at_hand(settings, facts.fingerprint, root)
    if isinstance(dataset, str):
        return dataset
    try:
        splits = split(dataset, settings)
    except UsageError as error:
        return str(error)
    if splits.fingerprint != facts.splits:
        return f"the validation images of {settings.name} are others here than in the study"
    return Held(dataset, splits)


def _is_inside(path: str) -> bool:
    """Whether a stranger's path can only lie in the folder that it is joined to."""
    parts = PurePosixPath(path).parts
    return path.isprintable() and len(path) < 200 and not path.startswith(("/", "~")) and ".." not in parts


def accuracy_rows(again: Again, data: Held | str) -> list[Row]:
    """Accuracy on the validation and on the test images. Raises Interrupted, OSError."""
    manifest = again.bundle.manifest
    stated = {"accuracy": manifest.metrics.get("accuracy"), "test accuracy": manifest.test_accuracy}
    if isinstance(data, str):
        return not_checked(stated, data)
    dataset, splits = data.dataset, data.splits
    places = {
        "accuracy": (splits.validation_images, splits.validation_labels, splits.fingerprint),
        "test accuracy": (dataset.test_images_path, dataset.test_labels_path, f"{dataset.fingerprint} test"),
    }
    rows = []
    for name, metric in stated.items():
        if metric is None or metric.value is None:
            rows += not_checked({name: metric}, "the manifest does not state it")
            continue
        again.on_progress(Progress(f"measure the {name}"))
        try:
            bundle, logits = again.bundle, again.place / "logits"
            found = judge(bundle.artifact, bundle.variant, *places[name], logits, again.stop).accuracy
        except ChildFailed as failed:
            rows.append(Row(name, measurement(metric), f"the model does not run: {failed.reason}", "fails"))
            continue
        rows.append(_accuracy_row(name, measurement(metric), found))
    return rows


def _accuracy_row(name: str, stated: Measurement, found: Measurement) -> Row:
    assert stated.value is not None
    assert found.value is not None
    low = stated.value if stated.low is None else stated.low
    high = stated.value if stated.high is None else stated.high
    if low <= found.value <= high:
        return Row(name, stated, found, "holds", "exactly as stated" if found.value == stated.value else "")
    return Row(name, stated, found, "fails", "it does not lie in the stated interval")
