"""Export formats: write the chosen trial as a bundle, an ONNX file, a Triton repository, or as a plugin's format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.data.dataset import Dataset
from explorer.deploy.export.bundle import check_target, target_folder
from explorer.deploy.export.plan import artifact_of, export_plan, require_known
from explorer.deploy.selection import Choice
from explorer.deploy.study_data import data_at_hand, ensure_sample_examples, quality_on_test
from explorer.errors import UsageError
from explorer.records import Measurement
from explorer.runtimes.artifact import Artifact
from explorer.study.result import StudyResult
from explorer.system.plugins import Registry
from explorer.system.signals import Interrupt

Documents = Callable[[str, Measurement], tuple[str, str]]
"""Make the model card (Markdown) and the picture of the front (SVG) from name and quality on the test split."""

FORMATS = Registry(
    "formats",
    {
        "bundle": "explorer.deploy.export.bundle:write_bundle",
        "onnx": "explorer.deploy.export.onnx_file:write_onnx",
        "triton": "explorer.deploy.export.triton:write_triton",
        "mlflow": "explorer.deploy.export.mlflow_model:write_mlflow",
    },
)
"""Functions `write(folder, plan)` that fill an empty folder. They raise OSError, and UsageError where a trial has no
such form."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an export goes: a new folder and the format. With `is_forced` an earlier export there is replaced."""

    folder: Path
    form: str = "bundle"
    is_forced: bool = False


def check_format(form: str) -> None:
    """Raise UsageError for an unknown export format."""
    if form not in FORMATS:
        raise UsageError(f"--format: expected one of {', '.join(FORMATS)}, got {form!r}")


def check_export(result: StudyResult, choice: Choice, target: Target) -> None:
    """Check what can be checked before any work.

    Raises UsageError when an export cannot go there, StudyDamaged when the study lacks facts that an export states.
    """
    require_known(result, choice.trial)
    check_target(target.folder, target.is_forced)


def write_export(
    result: StudyResult, choice: Choice, target: Target, data: Path | None, documents: Documents, interrupt: Interrupt
) -> Measurement:
    """Write the chosen trial to the target folder, whole or not at all; return its quality on the test split.

    `data` is the folder of the data sets (None: the usual places); nothing is downloaded.
    Raises UsageError, StudyError, RuntimeNotAvailable, Interrupted, ExplorerError when the disk is full.
    """
    artifact = artifact_of(result, choice.trial)
    dataset = data_at_hand(result.space.data, result.provenance["identity"]["data"]["fingerprint"], data)
    on_test = _quality_on_test(choice, artifact, dataset, result.space.task, interrupt)
    ensure_sample_examples(result, dataset)
    plan = export_plan(result, choice, artifact, on_test)
    card, picture = documents(plan.manifest.name, on_test)
    with target_folder(target.folder) as draft:
        FORMATS.load(target.form)(draft, replace(plan, card=card, picture=picture))
        interrupt.check()
    return on_test


def _quality_on_test(
    choice: Choice, artifact: Artifact, dataset: Dataset | str, task: str, interrupt: Interrupt
) -> Measurement:
    """Return the confirmation's value, which used the test split once; else compute it from the data at hand."""
    known = None if choice.confirmed is None else choice.confirmed.test_quality
    if known is not None and known.value is not None:
        return known
    return quality_on_test(artifact, choice.trial.variant, dataset, task, interrupt)
