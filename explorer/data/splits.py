"""Training, validation and calibration examples: fixed, stratified, written once beside the data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.data.cache import Content, cached_entry
from explorer.data.dataset import Dataset, digests
from explorer.data.source import check_task
from explorer.errors import UsageError
from explorer.space.values import DataSettings, default_calibration
from explorer.tasks.task import Examples, Task

_SEED = 20090408  # arbitrary, but fixed: with another seed validation images of old studies become training images

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Indices into a data set's training examples, int64 and disjoint between training and validation.

    training     every example that is not in `validation`, ascending
    validation   the only examples that a search uses for quality, in mixed order
    calibration  a part of `training`, in mixed order, without copies of validation or test inputs
    examples     those of `validation`, contiguous, for processes with NumPy alone; their fingerprint is the SHA-256 of
                 the data set's fingerprint and the three arrays
    calibration_inputs  those of `calibration`, as the path of a .npy file
    """

    training: Indices
    validation: Indices
    calibration: Indices
    examples: Examples
    calibration_inputs: Path

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the data set's fingerprint and the three arrays."""
        return self.examples.fingerprint

    def training_fingerprint(self) -> str:
        """Return the SHA-256 of the training and validation indices: it does not depend on the calibration examples."""
        return hashlib.sha256(self.training.tobytes() + self.validation.tobytes()).hexdigest()


def stratified(labels: NDArray[np.int64], n: int) -> Indices:
    """Return `n` indices into `labels` [m], each class in its share to within one; in mixed order, deterministic.

    Needs 0 <= n <= m.
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


def split(dataset: Dataset, settings: DataSettings, task: Task) -> Splits:
    """Return the splits of `dataset` with the counts of `settings`, from the cache or made now.

    A default number of calibration examples is an upper limit; every other count is exact.
    Stratified where the task has strata, else random, with a fixed seed. Versions of one original stay together. Raises
    UsageError when the data are not the task's, when a stratum would have no training example, or too few examples are
    left to calibrate on.
    """
    counts = f"v{settings.validation}-c{settings.calibration}"
    name = f"{dataset.name}-{dataset.fingerprint[:16]}-{task.name}-{counts}"
    entry = cached_entry(name, lambda: _content(dataset, settings, task), lambda _: None)
    paths, arrays = (entry.folder / "validation_inputs.npy", entry.folder / "validation_targets.npy"), entry.arrays()
    return Splits(
        training=arrays["training_indices"],
        validation=arrays["validation_indices"],
        calibration=arrays["calibration_indices"],
        examples=Examples(*paths, entry.facts["fingerprint"], task.name, dataset.facts),
        calibration_inputs=entry.folder / "calibration_inputs.npy",
    )


def _content(dataset: Dataset, settings: DataSettings, task: Task) -> Content:
    pool = _Pool(dataset, _strata(dataset, task), task.noun)
    training, validation = pool.held_out(settings.validation)
    calibration = pool.calibration(training, validation, settings.calibration)
    fingerprint = hashlib.sha256(dataset.fingerprint.encode())
    for indices in (training, validation, calibration):
        fingerprint.update(indices.tobytes())
    arrays: dict[str, NDArray[Any]] = {
        "training_indices": training,
        "validation_indices": validation,
        "calibration_indices": calibration,
        "validation_inputs": dataset.train_inputs[validation],
        "validation_targets": dataset.train_targets[validation],
        "calibration_inputs": dataset.train_inputs[calibration],
    }
    return arrays, {"fingerprint": fingerprint.hexdigest()}


def _strata(dataset: Dataset, task: Task) -> Indices:
    """Return the stratum of each training example [n]: one for all where the task has none. Raises UsageError."""
    try:
        for targets in (dataset.train_targets, dataset.test_targets):
            task.check(dataset.facts, targets)
    except ValueError as error:
        raise UsageError(f"the data set {dataset.name} is not for the task {task.name}: {error}") from error
    check_task(dataset.name, task)
    strata = task.strata(dataset.train_targets)
    return np.zeros(len(dataset.train_targets), dtype=np.int64) if strata is None else strata


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """The training examples of a data set, the stratum of each [n], and what sentences call one and several."""

    dataset: Dataset
    strata: Indices
    noun: tuple[str, str]

    def held_out(self, n: int) -> tuple[Indices, Indices]:
        """Return the indices for training, and `n` for validation. Raises UsageError."""
        dataset, strata = self.dataset, self.strata
        if not 1 <= n < len(strata):
            raise UsageError(
                f"data.validation is {n}, but {dataset.name} has {len(strata)} training {self.noun[1]} to hold some "
                f"out of: choose 1 to {len(strata) - len(np.unique(strata))}"
            )
        originals = dataset.train_originals
        validation = stratified(strata, n) if originals is None else self._whole_originals(originals, n)
        training = np.setdiff1d(np.arange(len(strata), dtype=np.int64), validation)
        lost = np.setdiff1d(strata, strata[training])
        if len(lost):
            names = dataset.facts.get("classes")
            raise UsageError(
                f"data.validation is {n} of {len(strata)} training {self.noun[1]} of {dataset.name}, which leaves none "
                f"of the class {names[lost[0]] if names else int(lost[0])!r} to train on: choose fewer"
            )
        return training, validation

    def _whole_originals(self, originals: Indices, n: int) -> Indices:
        """Return `n` indices, all versions of each original [m]; stratified, in mixed order. Raises UsageError."""
        _, first, counts = np.unique(originals, return_index=True, return_counts=True)
        n_versions = int(counts[0])
        if n % n_versions:
            raise UsageError(
                f"data.validation is {n}, but {self.dataset.name} has {n_versions} versions of each {self.noun[0]}, "
                f"which are never parted: choose a multiple of {n_versions}"
            )
        chosen = first[stratified(self.strata[first], n // n_versions)]
        is_chosen = np.isin(originals, originals[chosen])
        return np.random.RandomState(_SEED).permutation(np.flatnonzero(is_chosen)).astype(np.int64)

    def calibration(self, training: Indices, validation: Indices, n: int) -> Indices:
        """Return `n` of `training` [m] whose inputs are in neither `validation` [k] nor the test split.

        All that can calibrate where these are fewer than the default number. Raises UsageError.
        """
        dataset, (_, plural) = self.dataset, self.noun
        of_inputs = digests(dataset.train_inputs)
        excluded = {of_inputs[index] for index in validation} | set(digests(dataset.test_inputs))
        candidates = training[[of_inputs[index] not in excluded for index in training]]
        if n == default_calibration(dataset.name):
            n = max(1, min(n, len(candidates)))
        if not 1 <= n <= len(candidates):
            raise UsageError(
                f"data.calibration is {n}, but {len(candidates)} training {plural} of {dataset.name} can calibrate: "
                f"{len(training)} are left by data.validation, {len(training) - len(candidates)} of them copies of "
                f"validation or test {plural}; choose fewer, and at least 1"
            )
        return candidates[stratified(self.strata[candidates], n)]
