"""The data of a study, where they are at hand: accuracy on the test split, and sample images."""

from __future__ import annotations

from pathlib import Path

from explorer.cache import cache_root
from explorer.data import data_root, locate, prepare, split
from explorer.data.dataset import Dataset
from explorer.errors import NotAvailable, UsageError
from explorer.measure.child import ChildFailed, Stop
from explorer.measure.judging import judge
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.values import DataSettings
from explorer.study.result import StudyResult
from explorer.study.sample_images import has_sample_images, keep_sample_images


def data_at_hand(settings: DataSettings, fingerprint: str, root: Path | None) -> Dataset | str:
    """The data set of that fingerprint, which is never downloaded; or why it is not at hand, in a sentence."""
    try:
        source = locate(settings, root)
        if not source.is_present:
            return f"{settings.name} is not in {data_root(root)} (--data or EXPLORER_DATA say where it is)"
        dataset = prepare(settings, root, lambda _: None)
    except (NotAvailable, UsageError) as error:
        return f"{settings.name} cannot be read: {error}"
    if dataset.fingerprint != fingerprint:
        return f"the {settings.name} in {data_root(root)} is not the one of the study: their contents differ"
    return dataset


def ensure_sample_images(result: StudyResult, dataset: Dataset | str) -> None:
    """Put the study's sample images into its folder, if they are missing and the data are at hand. Raises OSError."""
    if isinstance(dataset, str) or has_sample_images(result.folder):
        return
    splits = split(dataset, result.space.data)
    if splits.fingerprint == result.provenance["identity"]["data"]["splits"]:
        keep_sample_images(result.folder, splits.validation_images, splits.validation_labels, result.space)


def accuracy_on_test(artifact: Artifact, variant: Variant, dataset: Dataset | str, stop: Stop | None) -> Measurement:
    """Accuracy on the test split of `dataset`; unknown, with the reason, where there is none.

    Logits are kept in the cache, so that it is computed once. Raises Interrupted, OSError.
    """
    if isinstance(dataset, str):
        return Measurement.unknown(dataset)
    images, labels = dataset.test_images_path, dataset.test_labels_path
    try:
        return judge(artifact, variant, images, labels, f"{dataset.fingerprint} test", _logits(), stop).accuracy
    except ChildFailed as failed:
        return Measurement.unknown(f"the test images could not be classified: {failed.reason}")


def _logits() -> Path:
    return cache_root() / "logits"
