"""Facts: all that a manifest says of a trial, gathered from the study; the artifact is checked on the way."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from pydantic import ValidationError

from explorer.deploy.choice import Choice, ConfirmedValues
from explorer.deploy.manifest import (
    FORMAT,
    MODEL,
    Chosen,
    Confirmed,
    DataFacts,
    Device,
    Execution,
    FileFacts,
    Input,
    Manifest,
    Metric,
    Output,
    Provenance,
    Samples,
    VariantFacts,
)
from explorer.errors import StudyDamaged, StudyError
from explorer.hashing import file_sha256
from explorer.records import Measurement
from explorer.runtimes.artifact import FILE_NAME, FLOAT_TOLERANCE, Artifact
from explorer.runtimes.registry import runtime
from explorer.runtimes.safety import unsafe_segments
from explorer.space.write import fingerprint
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.sample_images import read_sample_images
from explorer.study.samples import trial_outputs
from explorer.study.sound import require_finite, require_list, require_whole

# Eight bits are rounded by other kernels on other processors (VNNI or not), and a step of an activation is a percent.
_INT8_TOLERANCE = 0.05
_VERSION = re.compile(r"[A-Za-z0-9.+!_-]{1,100}")


@dataclass(frozen=True, slots=True)
class Departure:
    """What leaves: the artifact, the manifest with the model's files alone, and samples.npz."""

    artifact: Artifact
    manifest: Manifest
    samples: bytes


def artifact_of(result: StudyResult, trial: TrialRecord) -> Artifact:
    """The trial's artifact, every file with its recorded SHA-256 and safe to load. Raises StudyDamaged."""
    folder = result.folder / "artifacts" / str(trial.outcome.artifact)
    again = "`explore start` with --fork builds it again in a new study"
    try:
        artifact = Artifact.read(folder)
        damaged = artifact.damaged_files()
        unsafe = [] if damaged else unsafe_segments(folder, artifact.facts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyDamaged(f"the artifact of trial {trial.number} does not read ({error}): {again}") from error
    if damaged:
        raise StudyDamaged(f"{', '.join(damaged)} in {folder} changed since the measurement: {again}")
    if unsafe:
        raise StudyDamaged(f"{unsafe[0]}: nothing of {folder} is loaded or exported; {again}")
    return artifact


def require_known(result: StudyResult, trial: TrialRecord) -> None:
    """Raises StudyDamaged unless the study and the trial's record have all that is told of them when the trial leaves.

    Versions are part of files that others run, so nothing else passes for one.
    """
    try:
        software, data = _provenance(result, trial).software, result.provenance["identity"]["data"]
        if not all(_VERSION.fullmatch(text) for text in (str(software["python"]), *filter(None, software.values()))):
            raise ValueError("its software has something that is no version")
        Output(name="logits", dtype="float32", classes=result.provenance["class_names"])
        channels, height, width = data["image_shape"]
        require_whole("the shape of its images", (channels, height, width))
        VariantFacts(**trial.variant.to_json())
        for measurement in trial.outcome.metrics.values():
            _metric(measurement)
        shares = trial.outcome.details["exit_shares"]
        require_list("the shares of the exits", shares)
        require_finite("the shares of the exits", shares)
    except (LookupError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, LookupError) else str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise StudyDamaged(
            f"what the study {result.name} knows of itself and of trial {trial.number} is not whole ({what}), so that "
            "nothing can be exported: `explore start` with --fork measures its trials in a new study"
        ) from error


def departure(result: StudyResult, choice: Choice, artifact: Artifact, test_accuracy: Measurement) -> Departure:
    """Everything about the chosen trial. Raises StudyError when what was measured is not in the study's folder."""
    trial = choice.trial
    samples, n_samples = _samples(result, trial, artifact)
    facts = artifact.facts
    plugin = runtime(facts["runtime"])
    software = result.provenance["identity"]["software"]
    needed = {name: software.get(name) or version(name) for name in plugin.requirements(facts["quantization"])}
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
        variant=VariantFacts(**trial.variant.to_json()),
        metrics={name: _metric(measurement) for name, measurement in trial.outcome.metrics.items()},
        confirmed=_confirmed(choice.confirmed),
        test_accuracy=_metric(test_accuracy),
        exit_shares=trial.outcome.details["exit_shares"],
        input=_input(facts["input"]),
        output=Output(name="logits", dtype="float32", classes=result.provenance["class_names"]),
        execution=Execution(
            runtime=plugin.name,
            provider=plugin.provider,
            quantization=facts["quantization"],
            packages=needed,
            threads=trial.variant.threads,
            exit_threshold=facts["exit_threshold"],
            n_exits=artifact.n_exits,
            is_batch_invariant=facts["is_batch_invariant"],
        ),
        samples=Samples(n=n_samples, tolerance=FLOAT_TOLERANCE if facts["quantization"] == "none" else _INT8_TOLERANCE),
        provenance=_provenance(result, trial),
        files=_model_files(artifact),
    )
    return Departure(artifact, manifest, samples)


def _confirmed(found: ConfirmedValues | None) -> Confirmed | None:
    if found is None:
        return None
    metrics = {name: _metric(measurement) for name, measurement in found.metrics.items()}
    return Confirmed(rounds=found.n_rounds, metrics=metrics, probability=found.probability, ties=list(found.ties))


def _metric(measurement: Measurement) -> Metric:
    return Metric(**asdict(measurement))


def _input(facts: Mapping[str, Any]) -> Input:
    channels, height, width = facts["shape"]
    return Input(
        name=facts["name"],
        dtype=facts["dtype"],
        layout="NCHW",
        color="gray" if channels == 1 else "RGB",
        range=(0, 255),
        shape=(channels, height, width),
    )


def _samples(result: StudyResult, trial: TrialRecord, artifact: Artifact) -> tuple[bytes, int]:
    """samples.npz, and the number of images in it: whole batches where an image's logits depend on its batch."""
    images, labels = read_sample_images(result.folder)
    outputs = trial_outputs(result, trial, len(images))
    if isinstance(outputs, str):
        raise StudyError(f"what trial {trial.number} made of the sample images is not known: {outputs}")
    batch = 1 if artifact.facts["is_batch_invariant"] else trial.variant.batch_size
    n = len(images) // batch * batch or len(images)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        images=images[:n],
        labels=labels[:n],
        logits=outputs.logits[:, :n],
        exits=outputs.exits[:n],
        predictions=outputs.predictions[:n],
    )
    return buffer.getvalue(), n


def _provenance(result: StudyResult, trial: TrialRecord) -> Provenance:
    known = result.provenance
    identity, processor = known["identity"], known["processor"]
    data = identity["data"]
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        device=Device(
            processor=processor["name"],
            architecture=processor["architecture"],
            instructions=processor["instructions"],
            n_cores=processor["n_cores"],
            memory_mib=known["memory_mib"],
            system=known["system"]["system"],
        ),
        software=identity["software"],
        data=DataFacts(
            name=data["name"],
            kind=data["kind"],
            fingerprint=data["fingerprint"],
            splits=data["splits"],
            n_training=data["n_training"],
            n_validation=result.space.data.validation,
            n_test=data["n_test"],
        ),
        weights=identity["weights"],
        search_space_sha256=fingerprint(result.space),
        search_space=json.loads(json.dumps(asdict(result.space))),
        seed=result.space.search.seed,
        artifact=str(trial.outcome.artifact),
    )


def _model_files(artifact: Artifact) -> dict[str, FileFacts]:
    names = [FILE_NAME, *(segment["file"] for segment in artifact.facts["segments"])]
    return {f"{MODEL}/{name}": file_facts(artifact.folder / name) for name in names}


def file_facts(path: Any) -> FileFacts:
    """SHA-256 and size of a file."""
    return FileFacts(sha256=file_sha256(path), bytes=path.stat().st_size)
