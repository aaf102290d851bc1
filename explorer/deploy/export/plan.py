"""Export plans: the checked artifact, the manifest and the samples of a trial, from the study's files."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from explorer.deploy.manifest import (
    FORMAT,
    MODEL,
    Chosen,
    Confirmed,
    DataFacts,
    Device,
    Execution,
    FileFacts,
    Manifest,
    Metric,
    Normalization,
    Provenance,
    Samples,
    TaskFacts,
    Tensor,
    first_error,
    read_variant,
)
from explorer.deploy.selection import Choice, ConfirmedValues
from explorer.errors import StudyDamaged, StudyError
from explorer.records import Measurement
from explorer.runtimes.artifact import FILE_NAME, Artifact
from explorer.runtimes.runtime import RUNTIMES, runtime
from explorer.space.write import fingerprint
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.files import read_sample_examples
from explorer.study.store.samples import trial_outputs
from explorer.study.store.validation import require_list, require_whole
from explorer.system.hashing import file_sha256
from explorer.tasks.task import TensorSpec, task_named

_VERSION = re.compile(r"[A-Za-z0-9.+!_-]{1,100}")


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """An artifact, its manifest (listing the model's files alone), and the content of samples.npz.

    `card` is the model card (Markdown), `picture` that of the front (SVG).
    """

    artifact: Artifact
    manifest: Manifest
    samples: bytes
    card: str = ""
    picture: str = ""


def artifact_of(result: StudyResult, trial: TrialRecord) -> Artifact:
    """Return the trial's artifact. Raises StudyDamaged unless every file has its SHA-256 and is safe to load."""
    folder = result.folder / "artifacts" / str(trial.outcome.artifact)
    again = "`explore start` with --fork builds it again in a new study"
    try:
        artifact = Artifact.read(folder)
        damaged = artifact.damaged_files()
        unsafe = [] if damaged else artifact.unsafe_files()
    except (OSError, ValueError) as error:
        raise StudyDamaged(f"the artifact of trial {trial.number} does not read ({error}): {again}") from error
    if damaged:
        raise StudyDamaged(f"{', '.join(damaged)} in {folder} changed since the measurement: {again}")
    if unsafe:
        raise StudyDamaged(f"{unsafe[0]}: nothing of {folder} is loaded or exported; {again}")
    return artifact


def require_known(result: StudyResult, trial: TrialRecord) -> None:
    """Raise StudyDamaged unless the records of study and trial have everything that a manifest needs.

    Version numbers are checked strictly, because they become part of files that others execute.
    """
    try:
        software, data = _provenance(result, trial).software, result.provenance["identity"]["data"]
        if not all(_VERSION.fullmatch(text) for text in (str(software["python"]), *filter(None, software.values()))):
            raise ValueError("its software has something that is no version")
        known = _task(result)
        task_named(known.name).check(known.facts)
        shape = data["input"]["shape"]
        require_list("the shape of its inputs", shape)
        require_whole("the shape of its inputs", shape)
        _normalization(result)
        read_variant(trial.variant.to_json())
        for measurement in trial.outcome.metrics.values():
            _metric(measurement)
        if trial.outcome.observation is None:
            raise LookupError("observation")
    except (LookupError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, LookupError) else str(error)
        if isinstance(error, ValidationError):
            what = ": ".join(first_error(error))
        raise StudyDamaged(
            f"what the study {result.name} knows of itself and of trial {trial.number} is not whole ({what}), so that "
            "nothing can be exported: `explore start` with --fork measures its trials in a new study"
        ) from error


def export_plan(result: StudyResult, choice: Choice, artifact: Artifact, on_test: Measurement) -> ExportPlan:
    """Return the plan of the chosen trial, whose main metric is `on_test` on the test split.

    Raises StudyError when its outputs on the samples are not in the study.
    """
    trial, facts = choice.trial, artifact.facts
    observation = trial.outcome.observation
    assert observation is not None
    samples, n_samples = _samples(result, trial, artifact)
    known = _task(result)
    task = task_named(known.name)
    plugin = runtime(facts.runtime)
    software = result.provenance["identity"]["software"]
    manifest = Manifest(
        format=FORMAT,
        name=f"{result.name}-trial-{trial.number}",
        chosen=Chosen(
            study=result.name,
            trial=trial.number,
            how=choice.how,
            is_feasible=trial.is_feasible,
            is_on_front=choice.is_on_front,
            invalid=list(trial.outcome.invalid),
        ),
        task=known,
        variant=trial.variant,
        metrics={name: _metric(measurement) for name, measurement in trial.outcome.metrics.items()},
        confirmed=_confirmed(choice.confirmed),
        test_quality={task.main_metric.name: _metric(on_test)},
        exit_shares=[one.share for one in observation.exits],
        inputs=[_tensor(facts.input)],
        outputs=[_tensor(TensorSpec(task.output_name, "float32", (task.n_outputs(known.facts),)))],
        input_facts=dict(task.input_facts(facts.input)),
        normalization=_normalization(result),
        execution=Execution(
            runtime=plugin.name,
            plugin=RUNTIMES.package(plugin.name),
            provider=plugin.provider,
            quantization=facts.quantization,
            int8_range=facts.int8_range,
            packages={name: software.get(name) or version(name) for name in plugin.requirements(facts.quantization)},
            threads=trial.variant["threads"],
            exit_threshold=facts.exit_threshold,
            n_exits=artifact.n_exits,
            is_batch_invariant=facts.is_batch_invariant,
        ),
        samples=Samples(n=n_samples, tolerance=plugin.tolerance(facts.quantization)),
        provenance=_provenance(result, trial),
        files={f"{MODEL}/{path.name}": file_facts(path) for path in (artifact.folder / FILE_NAME, *artifact.files)},
    )
    return ExportPlan(artifact, manifest, samples)


def _task(result: StudyResult) -> TaskFacts:
    """Return the study's task and what it knows of the data."""
    return TaskFacts(**result.provenance["task"])


def _tensor(spec: TensorSpec) -> Tensor:
    return Tensor(name=spec.name, dtype=spec.dtype, shape=list(spec.shape))  # type: ignore[arg-type]  # checked by it


def _confirmed(found: ConfirmedValues | None) -> Confirmed | None:
    if found is None:
        return None
    metrics = {name: _metric(measurement) for name, measurement in found.metrics.items()}
    return Confirmed(rounds=found.n_rounds, metrics=metrics, probability=found.probability, ties=list(found.ties))


def _metric(measurement: Measurement) -> Metric:
    return Metric(**asdict(measurement))


def _normalization(result: StudyResult) -> Normalization | None:
    known = result.provenance.get("input")
    return None if known is None else Normalization(**known)


def _samples(result: StudyResult, trial: TrialRecord, artifact: Artifact) -> tuple[bytes, int]:
    """Return samples.npz and its number of examples: whole batches where an output depends on its batch."""
    inputs, targets = read_sample_examples(result.folder)
    found = trial_outputs(result, trial, len(inputs))
    if isinstance(found, str):
        raise StudyError(f"what trial {trial.number} made of the samples is not known: {found}")
    batch = 1 if artifact.facts.is_batch_invariant else trial.variant["batch_size"]
    n = len(inputs) // batch * batch or len(inputs)
    arrays = {"inputs": inputs, "targets": targets, "exits": found.exits, "answers": found.answers}
    buffer = io.BytesIO()
    np.savez(buffer, outputs=found.outputs[:, :n], **{name: array[:n] for name, array in arrays.items()})  # type: ignore[arg-type]
    return buffer.getvalue(), n


def _provenance(result: StudyResult, trial: TrialRecord) -> Provenance:
    known = result.provenance
    identity, processor = known["identity"], known["processor"]
    data = identity["data"]
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        device=Device(
            processor=processor["name"],
            memory_mib=known["memory_mib"],
            system=known["system"]["system"],
            **{name: processor[name] for name in ("architecture", "instructions", "n_cores")},
        ),
        software=identity["software"],
        data=DataFacts(
            n_validation=result.space.data.validation,
            **{name: data[name] for name in ("name", "kind", "fingerprint", "splits", "n_training", "n_test")},
        ),
        weights=identity["weights"],
        search_space_sha256=fingerprint(result.space),
        search_space=json.loads(json.dumps(asdict(result.space))),
        seed=result.space.search.seed,
        artifact=str(trial.outcome.artifact),
    )


def file_facts(path: Path) -> FileFacts:
    """Return SHA-256 and size of a file. Raises OSError."""
    return FileFacts(sha256=file_sha256(path), bytes=path.stat().st_size)
