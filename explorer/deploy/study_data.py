"""A study's data set, where it is available: quality on the test split, and sample examples."""

from __future__ import annotations

from pathlib import Path

from explorer.data.dataset import Dataset
from explorer.data.preparing import prepare
from explorer.data.source import data_root, locate
from explorer.data.splits import split
from explorer.errors import NotAvailable, UsageError
from explorer.measure.quality_pass import outputs_cache, run_quality_pass
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.values import DataSettings
from explorer.study.result import StudyResult
from explorer.study.store.files import has_sample_examples, store_sample_examples
from explorer.system.worker_process import Stop, WorkerFailed
from explorer.tasks.task import task_named


def data_at_hand(settings: DataSettings, fingerprint: str, root: Path | None) -> Dataset | str:
    """Return the data set with that fingerprint, which is never downloaded; or why it is not available."""
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


def ensure_sample_examples(result: StudyResult, dataset: Dataset | str) -> None:
    """Write the study's sample examples, if they are missing and the data are available. Raises OSError."""
    if isinstance(dataset, str) or has_sample_examples(result.folder):
        return
    splits = split(dataset, result.space.data, task_named(result.space.task))
    if splits.fingerprint == result.provenance["identity"]["data"]["splits"]:
        store_sample_examples(result.folder, splits.examples.inputs, splits.examples.targets, result.space)


def quality_on_test(
    artifact: Artifact, variant: Variant, dataset: Dataset | str, task: str, stop: Stop | None
) -> Measurement:
    """Return the task's main metric on the test split of `dataset`; unknown, with the reason, where there is none.

    Outputs are cached. Raises Interrupted, OSError.
    """
    if isinstance(dataset, str):
        return Measurement.unknown(dataset)
    data, main = dataset.test_examples(task), task_named(task).main_metric.name
    try:
        return run_quality_pass(artifact, variant, data, outputs_cache(), stop).quality[main]
    except WorkerFailed as failed:
        return Measurement.unknown(f"the model does not run on the test split: {failed.reason}")
