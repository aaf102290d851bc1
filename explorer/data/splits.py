"""Which images train, validate and calibrate: fixed, stratified, and written once beside the data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer.data.cache import Content, Entry, kept
from explorer.data.dataset import Dataset, image_digests
from explorer.errors import UsageError

if TYPE_CHECKING:
    from explorer.space.values import DataSettings

_SEED = 20090408  # any constant will do: it must never change, or validation images of old studies become training ones

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Indices into a data set's training images, int64 and disjoint between training and validation.

    training      every image that is not in `validation`, ascending
    validation    the only images that a search sees, in mixed order
    calibration   a part of `training`, in mixed order, without copies of validation or test images
    *_images, *_labels  the same, contiguous, as paths of .npy files for processes that have NumPy alone
    fingerprint   SHA-256 of the data set's fingerprint and the three arrays
    """

    training: Indices
    validation: Indices
    calibration: Indices
    validation_images: Path
    validation_labels: Path
    calibration_images: Path
    fingerprint: str

    def training_fingerprint(self) -> str:
        """SHA-256 of which images train and which validate: other calibration images are no reason to train anew."""
        return hashlib.sha256(self.training.tobytes() + self.validation.tobytes()).hexdigest()


def stratified(labels: NDArray[np.int64], n: int) -> Indices:
    """`n` indices into `labels`, each class in its share of them to within one image; in mixed order, always the same.

    Needs 0 <= n <= len(labels).
    """
    # The stream of RandomState is frozen (NEP 19); that of Generator may change with any release of NumPy.
    random = np.random.RandomState(_SEED)
    classes, counts = np.unique(labels, return_counts=True)
    exact = n * counts / max(1, len(labels))
    taken = np.floor(exact).astype(np.int64)
    # Largest remainders first; equal ones in the order of classes.
    taken[np.argsort(taken - exact, kind="stable")[: n - taken.sum()]] += 1
    chosen = [
        random.permutation(np.flatnonzero(labels == label))[:count] for label, count in zip(classes, taken, strict=True)
    ]
    return random.permutation(np.concatenate(chosen)).astype(np.int64) if chosen else np.empty(0, dtype=np.int64)


def split(dataset: Dataset, settings: DataSettings) -> Splits:
    """The splits of `dataset` with exactly the counts of `settings`, from the cache or made now.

    Raises UsageError when a class would keep no training image, or too few are left to calibrate on.
    """
    name = f"{dataset.name}-{dataset.fingerprint[:16]}-v{settings.validation}-c{settings.calibration}"
    entry = kept(name, lambda: _content(dataset, settings), lambda _: None)
    return _splits(entry)


def _splits(entry: Entry) -> Splits:
    return Splits(
        training=entry.array("training_indices"),
        validation=entry.array("validation_indices"),
        calibration=entry.array("calibration_indices"),
        validation_images=entry.folder / "validation_images.npy",
        validation_labels=entry.folder / "validation_labels.npy",
        calibration_images=entry.folder / "calibration_images.npy",
        fingerprint=entry.facts["fingerprint"],
    )


def _content(dataset: Dataset, settings: DataSettings) -> Content:
    training, validation = _held_out(dataset, settings.validation)
    calibration = _calibration(dataset, training, validation, settings.calibration)
    fingerprint = hashlib.sha256(dataset.fingerprint.encode())
    for indices in (training, validation, calibration):
        fingerprint.update(indices.tobytes())
    arrays: dict[str, NDArray[Any]] = {
        "training_indices": training,
        "validation_indices": validation,
        "calibration_indices": calibration,
        "validation_images": dataset.train_images[validation],
        "validation_labels": dataset.train_labels[validation],
        "calibration_images": dataset.train_images[calibration],
    }
    return arrays, {"fingerprint": fingerprint.hexdigest()}


def _held_out(dataset: Dataset, n: int) -> tuple[Indices, Indices]:
    labels = dataset.train_labels
    if not 1 <= n < len(labels):
        raise UsageError(
            f"data.validation is {n}, but {dataset.name} has {len(labels)} training images to hold some out of: "
            f"choose 1 to {len(labels) - dataset.n_classes}"
        )
    validation = stratified(labels, n)
    training = np.setdiff1d(np.arange(len(labels), dtype=np.int64), validation)
    lost = np.setdiff1d(labels, labels[training])
    if len(lost):
        raise UsageError(
            f"data.validation is {n} of {len(labels)} training images of {dataset.name}, which leaves none of the "
            f"class {dataset.class_names[lost[0]]!r} to train on: choose fewer"
        )
    return training, validation


def _calibration(dataset: Dataset, training: Indices, validation: Indices, n: int) -> Indices:
    """`n` training images whose pixels are in neither the validation nor the test split."""
    digests = image_digests(dataset.train_images)
    judged = {digests[index] for index in validation} | set(image_digests(dataset.test_images))
    candidates = training[[digests[index] not in judged for index in training]]
    if not 1 <= n <= len(candidates):
        raise UsageError(
            f"data.calibration is {n}, but {len(candidates)} training images of {dataset.name} can calibrate: "
            f"{len(training)} are left by data.validation, {len(training) - len(candidates)} of them copies of "
            "validation or test images; choose fewer, and at least 1"
        )
    return candidates[stratified(dataset.train_labels[candidates], n)]
