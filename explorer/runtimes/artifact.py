"""The artifact: a folder named by the hash of what determines it, with artifact.json and one file per segment."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import numpy as np

from explorer.metrics import METRICS
from explorer.records import Variant
from explorer.runtimes.int8_range import LARGEST, Int8Range
from explorer.runtimes.runtime import BASELINE, FLOAT_TOLERANCE, ExportFailed, ExportJob, SegmentFile, Trust
from explorer.runtimes.runtime import runtime as runtime_named
from explorer.runtimes.staged import Array, StagedExecutor
from explorer.runtimes.untrusted.files import UnsafeFile
from explorer.system.files import new_folder, read_plain_text, write_json
from explorer.system.hashing import content_key, file_sha256
from explorer.tasks.task import DEFAULT_TASK, TensorSpec, task_named

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork

FORMAT = 2
FILE_NAME = "artifact.json"
_MODEL = "model.json"
_SEGMENT_FILE = re.compile(r"\w[\w.-]{0,200}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = {"mega_macs": METRICS["mega_macs"].bounds[1], "int8_mac_share": 1.0, "exit_threshold": 1.0}
_PLAIN = {"str": (str,), "bool": (bool,), "int": (int,), "float": (float, int)}
_Facts = TypeVar("_Facts", bound="SegmentFacts | ArtifactFacts")


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """A segment: its file with SHA-256 and size, and its layers, which are convolutions and matrix products.

    `mega_macs` are the multiply-accumulates of one input (10^6), of which `int8_mac_share` in [0, 1] are in int8.
    """

    file: str
    sha256: str
    bytes: int
    mega_macs: float
    n_layers: int
    n_int8_layers: int
    int8_mac_share: float


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """artifact.json.

    trust                 the runtime's, see `explorer.runtimes.runtime.Trust`
    is_batch_invariant    whether an output is independent of the other inputs in its batch
    int8_range            the range of int8 weights where their products could saturate, else None
    max_logit_difference  from the torch network's outputs, relative to the largest (or 1, if larger)
    """

    id: str
    runtime: str
    quantization: str
    exit_threshold: float
    trust: Trust
    input: TensorSpec
    is_batch_invariant: bool
    n_parameters: int
    int8_range: Int8Range | None
    max_logit_difference: float
    segments: tuple[SegmentFacts, ...]

    @property
    def n_layers(self) -> int:
        """Number of layers in all segments."""
        return sum(segment.n_layers for segment in self.segments)

    @property
    def n_int8_layers(self) -> int:
        """How many of them are executed in int8."""
        return sum(segment.n_int8_layers for segment in self.segments)

    @property
    def int8_mac_share(self) -> float:
        """Share of the multiply-accumulates of all segments that are in int8, in [0, 1]."""
        total = sum(segment.mega_macs for segment in self.segments)
        int8 = sum(segment.mega_macs * segment.int8_mac_share for segment in self.segments)
        return int8 / total if total else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return what artifact.json holds."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Any) -> ArtifactFacts:
        """Return the facts of `to_json`'s values. Raises ValueError with the first field that is not as expected."""
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            found = values.get("format") if isinstance(values, dict) else values
            raise ValueError(f"it has the format {str(found)[:80]}, expected {FORMAT}")
        segments = values.get("segments")
        if not isinstance(segments, list) or not 1 <= len(segments) <= 1000:
            raise ValueError("segments: expected a list of 1 to 1,000")
        return _read(
            cls,
            {
                **{name: value for name, value in values.items() if name != "format"},
                "input": TensorSpec.from_json(values.get("input")),
                "segments": tuple(_read(SegmentFacts, one, f"segments.{at}.") for at, one in enumerate(segments)),
            },
        )


def _read(of: type[_Facts], values: Any, where: str = "") -> _Facts:
    """Return the dataclass of exactly these values. Raises ValueError for one that is not what its field holds."""
    names = [field.name for field in fields(of)]
    if not isinstance(values, dict) or values.keys() != set(names):
        found = ", ".join(map(str, values))[:200] if isinstance(values, dict) else str(values)[:200]
        raise ValueError(f"{where.rstrip('.') or 'it'} has {found}: expected {', '.join(names)}")
    for field in fields(of):
        if why := _fault(field.name, str(field.type), values[field.name]):
            raise ValueError(f"{where}{field.name} is {str(values[field.name])[:80]!r}: expected {why}")
    return of(**values)


def _fault(name: str, kind: str, value: Any) -> str:
    """Return what was expected instead of the value; empty where it is as expected."""
    if kind in _PLAIN and type(value) not in _PLAIN[kind]:
        return f"a value of type {kind}"
    if kind in ("int", "float") and not 0 <= value <= _LARGEST.get(name, 2**53):
        return f"a number from 0 to {_LARGEST.get(name, 2**53):g}"
    if (name == "file" and not _SEGMENT_FILE.fullmatch(value)) or (name == "sha256" and not _SHA256.fullmatch(value)):
        return "the name of a file in this folder" if name == "file" else "64 hexadecimal digits"
    if name == "trust" and value not in get_args(Trust):
        return " or ".join(get_args(Trust))
    return f"null, {' or '.join(LARGEST)}" if name == "int8_range" and value not in (None, *LARGEST) else ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact on disk."""

    folder: Path
    facts: ArtifactFacts

    @property
    def id(self) -> str:
        """Its name: the hash of what determines it."""
        return self.facts.id

    @property
    def n_exits(self) -> int:
        """Number of exits, the final one included."""
        return len(self.facts.segments)

    @property
    def size_mib(self) -> float:
        """Size of its files in MiB, artifact.json included."""
        return sum(file.stat().st_size for file in (self.folder / FILE_NAME, *self.files)) / 2**20

    @property
    def files(self) -> list[Path]:
        """The files that a runtime loads, one per segment."""
        return [self.folder / segment.file for segment in self.facts.segments]

    @classmethod
    def read(cls, folder: Path) -> Artifact:
        """Read an artifact. Raises OSError without its file, ValueError when it is not an artifact of this format."""
        path = folder / FILE_NAME
        try:
            return cls(folder, ArtifactFacts.from_json(json.loads(read_plain_text(path))))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} does not describe an artifact: {error}") from error

    def damaged_files(self) -> list[str]:
        """Return the files that are missing or do not have their recorded SHA-256."""
        return [
            segment.file
            for segment in self.facts.segments
            if not (path := self.folder / segment.file).is_file() or file_sha256(path) != segment.sha256
        ]

    def unsafe_files(self, is_signed: bool = False) -> list[str]:
        """Return which files must not be loaded when their source is not trusted, and why; else [].

        Native files are safe where a named signer signed them. Raises OSError for a file that cannot be read,
        RuntimeNotAvailable where the runtime is not registered.
        """
        plugin, unsafe = runtime_named(self.facts.runtime), []
        for path in self.files:
            try:
                if plugin.trust != self.facts.trust:
                    raise UnsafeFile(f"is of a runtime whose trust is {plugin.trust!r}, and {FILE_NAME} has another")
                if plugin.trust == "native" and not is_signed:
                    raise UnsafeFile("is a shared library, and no named signer signed it")
                plugin.check(path.read_bytes())
            except UnsafeFile as error:
                unsafe.append(f"{path.name!r} {error}")
        return unsafe

    def load(self, threads: int, variant: Variant = BASELINE, task: str = DEFAULT_TASK) -> StagedExecutor:
        """Load the segments to run on `threads` threads. Imports NumPy and the artifact's runtime, nothing else.

        `variant` gives the values of the runtime's own parameters, the task named `task` says what leaves early.
        """
        segments = runtime_named(self.facts.runtime).load(self.files, threads, self.facts.quantization, variant)
        return StagedExecutor(segments, self.facts.exit_threshold, task_named(task).confidence)


def export_model(job: ExportJob, n_parameters: int, mega_macs: Sequence[float], runtime: str, folder: Path) -> None:
    """Write the job's segments and model.json into `folder`, checked against the torch network.

    `n_parameters` and the `mega_macs` of each segment are those of the network that is exported. Raises ExportFailed
    when nothing became int8, or when float32 outputs differ by more than FLOAT_TOLERANCE.
    """
    plugin = runtime_named(runtime)
    quantization = job.quantization
    if quantization not in plugin.quantizations:
        raise ExportFailed("unsupported quantization", f"{runtime} cannot execute {quantization}")
    written = plugin.export(job, folder)
    if quantization != "none" and not any(segment.n_int8_layers for segment in written):
        n_layers = sum(segment.n_layers for segment in written)
        reason = f"{quantization} left all {n_layers} layers in float32 in {runtime}; use quantization: none"
        raise ExportFailed("nothing quantized", reason)
    with _own_threads():
        segments = plugin.load([folder / segment.file for segment in written], 1, quantization, job.variant)
        difference = _difference(job.shipped(), StagedExecutor(segments, 1.0), job.calibration[:64])
    if quantization == "none" and difference > FLOAT_TOLERANCE:
        reason = (
            f"logits of the {runtime} artifact differ from the network's by {difference:.3g} "
            f"(relative to the largest), more than {FLOAT_TOLERANCE:g}"
        )
        raise ExportFailed("export mismatch", reason)
    facts = ArtifactFacts(
        id="",
        runtime=runtime,
        quantization=quantization,
        exit_threshold=1.0,
        trust=plugin.trust,
        input=job.input,
        is_batch_invariant=plugin.is_batch_invariant(quantization),
        n_parameters=n_parameters,
        int8_range=job.int8_range if plugin.saturates(quantization) else None,
        max_logit_difference=difference,
        segments=tuple(segment_facts(one, macs, folder) for one, macs in zip(written, mega_macs, strict=True)),
    )
    write_json(folder / _MODEL, facts.to_json())


def segment_facts(written: SegmentFile, mega_macs: float, folder: Path) -> SegmentFacts:
    """Return the facts of a segment's file in `folder`. Raises OSError."""
    path = folder / written.file
    return SegmentFacts(sha256=file_sha256(path), bytes=path.stat().st_size, mega_macs=mega_macs, **asdict(written))


@contextmanager
def _own_threads() -> Iterator[None]:
    """Restore the threads of this process's torch, which loading an eager program changes and training needs."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _difference(network: StagedNetwork, executor: StagedExecutor, inputs: Array) -> float:
    """Return the largest difference of any exit's outputs, at full batch and at batch 1, relative to the largest.

    Inputs [n, ...]. Raises ExportFailed for outputs that are not finite.
    """
    import torch

    worst = 0.0
    for batch in (inputs, inputs[:1]):
        with torch.inference_mode():
            expected = torch.stack(network.eval()(torch.from_numpy(batch.copy()))).numpy()
        made = executor.all_exits(batch)
        if not (np.isfinite(expected).all() and np.isfinite(made).all()):
            raise ExportFailed("not a number", "the network's logits are not finite numbers")
        worst = max(worst, float(abs(made - expected).max() / max(1.0, abs(expected).max())))
    return worst


def is_whole_model(folder: Path) -> bool:
    """Return whether `folder` holds what `export_model` wrote, byte for byte."""
    try:
        facts = ArtifactFacts.from_json(json.loads((folder / _MODEL).read_text(encoding="utf-8")))
        return not Artifact(folder, facts).damaged_files()
    except (OSError, ValueError, RecursionError):
        return False


def artifact_key(model_key: str, variant: Variant) -> str:
    """Return the artifact's name, from the key of the exported model and the variant."""
    return content_key({"format": FORMAT, "model": model_key, "variant": variant.key("artifact")})


def store_artifact(model: Path, model_key: str, variant: Variant, artifacts: Path) -> Artifact:
    """Copy an exported model's files into `artifacts`/<id> with artifact.json, atomically; reuse an intact artifact.

    A study's folder may come from an untrusted source: files that differ from the model's are only reused if they are
    safe to load. Raises OSError.
    """
    key = artifact_key(model_key, variant)
    target = artifacts / key
    exported = ArtifactFacts.from_json(json.loads((model / _MODEL).read_text(encoding="utf-8")))
    facts = replace(exported, id=key, exit_threshold=variant["exit_threshold"])
    stored = _whole(target)
    if stored and (stored.facts.segments == facts.segments or not stored.unsafe_files()):
        return stored
    if target.is_dir():
        shutil.rmtree(target)
    with new_folder(target) as draft:
        for segment in facts.segments:
            shutil.copyfile(model / segment.file, draft / segment.file)
        write_json(draft / FILE_NAME, facts.to_json())
    return Artifact(target, facts)


def _whole(folder: Path) -> Artifact | None:
    """Return the artifact in that folder; None when it is missing or damaged."""
    try:
        stored = Artifact.read(folder)
    except (OSError, ValueError):
        return None
    return None if stored.damaged_files() else stored
