"""The quality of a bundle's model, measured again on the study's own data where they are available."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from explorer import intervals
from explorer.data.dataset import Dataset
from explorer.data.splits import Splits, split
from explorer.deploy.manifest import SAMPLES, Manifest, Metric
from explorer.deploy.study_data import data_at_hand
from explorer.deploy.verify.bundle import Bundle
from explorer.deploy.verify.claims import name_on_test
from explorer.deploy.verify.facts import DATA, EXIT_SHARES, data_text, fact_texts, sample_inputs, shares_text, text_of
from explorer.deploy.verify.report import Remeasurement, Row, equal, measurement, unchecked
from explorer.deploy.verify.samples import SampleArrays, settled
from explorer.errors import UsageError
from explorer.measure.quality_pass import QualityPass, run_quality_pass
from explorer.records import Measurement, Progress
from explorer.space.values import DataSettings
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.task import Array, Examples, task_named

_MACS = "mega_macs"
_MAX_WIDER = 2.0
"""How much wider than the one found an interval may be that is of almost the same scores."""

_NOT_STATED = "the manifest does not state it"


@dataclass(frozen=True, slots=True, eq=False)
class StudyData:
    """The study's data set and its splits."""

    dataset: Dataset
    splits: Splits


def held_data(manifest: Manifest, root: Path | None) -> StudyData | str:
    """Return the study's data, which are never downloaded; or why they are not available. Raises OSError."""
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
        splits = split(dataset, settings, task_named(manifest.task.name))
    except UsageError as error:
        return str(error)
    if splits.fingerprint != facts.splits:
        return f"the validation split of {settings.name} is another one here than in the study"
    return StudyData(dataset, splits)


def _is_inside(path: str) -> bool:
    """Return whether an untrusted path stays in the folder that it is joined to."""
    parts = PurePosixPath(path).parts
    return path.isprintable() and len(path) < 200 and not path.startswith(("/", "~")) and ".." not in parts


def data_rows(bundle: Bundle, samples: SampleArrays, data: StudyData | str) -> list[Row]:
    """Return rows for the data set, the facts of the task, and the samples."""
    texts, manifest = fact_texts(bundle), bundle.manifest
    if isinstance(data, str):
        return [unchecked(what, texts[what], data) for what in (DATA, *bundle.facts, sample_inputs(bundle))]
    dataset, splits = data.dataset, data.splits
    found = data_text(dataset.name, (len(splits.training), len(splits.validation), len(dataset.test_targets)))
    is_equal = (dataset.kind, found) == (manifest.provenance.data.kind, texts[DATA])
    return [
        equal(DATA, texts[DATA], found, is_equal, "the data set at hand has other facts"),
        *(_fact_row(name, stated, dataset.facts.get(name)) for name, stated in bundle.facts.items()),
        _sample_row(bundle, samples, splits.examples),
    ]


def _fact_row(name: str, stated: object, known: object) -> Row:
    """Compare a fact of the task; of lists, the first element that differs is named."""
    why = "" if stated == known else f"it is {text_of(known)} here"
    if isinstance(stated, list | tuple) and isinstance(known, list | tuple):
        places = (i for i, (one, other) in enumerate(zip(stated, known, strict=False)) if one != other)
        if len(stated) != len(known):
            why = f"the data set has {len(known)}"
        elif (first := next(places, None)) is not None:
            why = f"number {first} is {known[first]!r} here, not {stated[first][:80]!r}"
        else:
            why = ""
    return equal(name, text_of(stated), text_of(known), not why, why)


def _sample_row(bundle: Bundle, samples: SampleArrays, validation: Examples) -> Row:
    """Compare the samples with the first of the validation split, and with their targets."""
    n, what = len(samples.inputs), sample_inputs(bundle)
    inputs, targets = np.load(validation.inputs, mmap_mode="r")[:n], np.load(validation.targets)[:n]
    is_equal = np.array_equal(inputs, samples.inputs) and np.array_equal(targets, samples.targets)
    others = f"{SAMPLES} has other {bundle.task.noun[1]} or labels"
    return equal(what, fact_texts(bundle)[what], "those, with their labels" if is_equal else others, is_equal, others)


def quality_rows(again: Remeasurement, data: StudyData | str) -> list[Row]:
    """Measure every quality metric on the validation and the test split, and the exits taken.

    Raises Interrupted, OSError.
    """
    manifest, names = again.bundle.manifest, [metric.name for metric in again.bundle.task.metrics]
    searched = {name: manifest.metrics.get(name) for name in names}
    on_test = {name_on_test(name): manifest.test_quality.get(name) for name in names}
    if isinstance(data, str):
        return [unchecked(what, measurement(one), data) for what, one in (searched | on_test).items() if one]
    rows = list(_split_rows(again, searched, data.splits.examples, has_exits=True))
    if all(one is None or one.value is None for one in on_test.values()):
        return rows + [unchecked(what, measurement(one), _NOT_STATED) for what, one in on_test.items()]
    on_test_split = data.dataset.test_examples(manifest.task.name)
    return rows + list(_split_rows(again, on_test, on_test_split, has_exits=False))


def _split_rows(
    again: Remeasurement, stated: Mapping[str, Metric | None], data: Examples, has_exits: bool
) -> Iterator[Row]:
    """Yield the rows of one split, whose metrics are stated by row name, in the order of the task's metrics."""
    bundle, task = again.bundle, again.bundle.task
    again.on_progress(Progress(f"measure the {' and the '.join(stated)}"))
    try:
        made = run_quality_pass(bundle.artifact, bundle.variant, data, again.folder / "outputs", again.stop)
    except WorkerFailed as failed:
        for what, one in stated.items():
            yield Row(what, measurement(one), f"the model does not run: {failed.reason}", "fails")
        return
    is_open = ~settled(bundle, made.outputs, made.exits, again.tolerance)
    answers, targets = made.answers, np.load(data.targets)
    found, scores = task.measure(answers, targets), task.scores(answers, targets)
    for metric, (what, one) in zip(task.metrics, stated.items(), strict=True):
        promised = measurement(one)
        if promised.value is None:
            yield unchecked(what, promised, _NOT_STATED)
        else:
            made_here = _Found.of(found[metric.name], scores.get(metric.name), is_open, metric.bounds)
            yield _quality_row(what, promised, made_here, task.noun[1])
    if has_exits:
        yield from _exit_rows(again, made, is_open)


@dataclass(frozen=True, slots=True)
class _Found:
    """A metric of n examples as it was measured, and the least and the largest value that it may have.

    These differ where examples are open, whose scores may have any value. `is_share`: every score is 0 or 1.
    """

    value: Measurement
    least: float
    most: float
    n_open: int
    is_share: bool

    @classmethod
    def of(cls, value: Measurement, scores: Array | None, is_open: Array, bounds: tuple[float, float]) -> _Found:
        """Return what is possible, given scores [n], None for a metric of the whole set, and which are open [n]."""
        n_open, n, known = int(is_open.sum()), len(is_open), value.value or 0.0
        least, most = bounds if n_open else (known, known)
        if n_open and scores is not None:
            least, most = ((float(scores[~is_open].sum()) + n_open * end) / n for end in bounds)
        return cls(value, least, most, n_open, scores is not None and bool(np.isin(scores, (0, 1)).all()))

    def may_be(self, stated: Measurement) -> bool:
        """Return whether the stated value is possible, near what was found, and of no much wider interval."""
        value, found = stated.value or 0.0, self.value.value or 0.0
        (low, high), (found_low, found_high) = _interval(stated), _interval(self.value)
        within = intervals.EXACTLY * max(1.0, abs(value))
        is_possible = self.least - within <= value <= self.most + within
        return is_possible and low <= found <= high and high - low <= _MAX_WIDER * (found_high - found_low)

    def why_not(self, stated: float) -> str:
        """Return why it is not that value, in a sentence."""
        n = self.value.n or 0
        value, least, most = (str(round(x * n)) if self.is_share else f"{x:g}" for x in (stated, self.least, self.most))
        of_all, some = (f" of {n}", "are") if self.is_share else ("", "is")
        if least != most:
            return f"{value}{of_all} {some} stated, {least} to {most} {some} possible"
        return f"{least} of {n} are right" if self.is_share else f"it is {least} here"


def _quality_row(what: str, stated: Measurement, found: _Found, noun: str) -> Row:
    """Accept the value found, and any other that is possible because examples are not settled."""
    assert stated.value is not None
    if intervals.is_near(stated.value, found.value.value):
        is_same = intervals.is_same(stated, found.value, 1e-6)
        why = "exactly as stated" if is_same else "its interval is another one"
        return Row(what, stated, found.value, "holds" if is_same else "fails", why)
    if found.may_be(stated):
        return Row(
            what, stated, found.value, "holds", f"{found.n_open} of {found.value.n} {noun} are too close to call"
        )
    return Row(what, stated, found.value, "fails", found.why_not(stated.value))


def _interval(measured: Measurement) -> tuple[float, float]:
    """Return the ends of the interval, infinite where they are unknown."""
    return -math.inf if measured.low is None else measured.low, math.inf if measured.high is None else measured.high


def _exit_rows(again: Remeasurement, made: QualityPass, is_open: NDArray[np.bool_]) -> list[Row]:
    """Compare the shares of the exits, and the interval of the multiply-accumulates that follow from them."""
    manifest, n, noun = again.bundle.manifest, len(made.exits), again.bundle.task.noun[1]
    shares, n_open = np.array(manifest.exit_shares), int(is_open.sum())
    taken, hits = np.bincount(made.exits, minlength=len(shares)), np.rint(shares * n)
    least = np.bincount(made.exits[~is_open], minlength=len(shares))
    promised, found = shares_text(shares), shares_text(taken / n)
    if ((hits < least) | (hits > least + n_open)).any():
        return [Row(EXIT_SHARES, promised, found, "fails", f"the {noun} leave elsewhere")]
    if (hits != taken).any():
        return [Row(EXIT_SHARES, promised, found, "holds", f"{n_open} of {n} {noun} are too close to call")]
    rows, macs = [Row(EXIT_SHARES, promised, found, "holds")], measurement(manifest.metrics.get(_MACS))
    cumulative = again.bundle.mega_macs
    if macs.value is None or len(cumulative) == 1 or (n_open and not again.is_same):
        return rows  # on another machine, other examples may take each exit
    follows = intervals.mean(cumulative[made.exits])
    if not intervals.is_same(macs, follows, 1e-6):
        rows.append(Row(_MACS, macs, follows, "fails", "its interval is another one", is_derived=True))
    return rows
