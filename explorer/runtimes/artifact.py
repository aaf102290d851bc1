"""The artifact: a folder named by the hash of what made it, with artifact.json and one file a segment."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.files import new_folder, write_json
from explorer.hashing import content_key, file_sha256
from explorer.plain_file import read_plain_text
from explorer.runtimes.registry import runtime as runtime_named
from explorer.runtimes.runtime import ExportFailed, ExportJob, SegmentFile
from explorer.runtimes.safety import unsafe_segments
from explorer.runtimes.staged import Array, StagedExecutor

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork

FORMAT = 1
FILE_NAME = "artifact.json"
_SEGMENT_FILE = re.compile(r"[\w.-]*\w", re.ASCII)
_FACTS = frozenset({"id", "runtime", "quantization", "exit_threshold", "segments"})
FLOAT_TOLERANCE = 1e-4
"""How far float32 logits may be from the torch network's, relative to the largest logit (or 1, if that is larger)."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What is counted on the network: parameters, and multiply-accumulates of one image in each segment (10^6)."""

    n_parameters: int
    mega_macs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact on the disk. `facts` is artifact.json."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its name: the hash of what made it."""
        return str(self.facts["id"])

    @property
    def n_exits(self) -> int:
        """How many exits it has, the final one included."""
        return len(self.facts["segments"])

    @property
    def size_mib(self) -> float:
        """Size of its files, artifact.json included, in MiB."""
        names = [FILE_NAME, *(segment["file"] for segment in self.facts["segments"])]
        n_bytes: int = sum((self.folder / name).stat().st_size for name in names)
        return float(n_bytes / 2**20)

    @classmethod
    def read(cls, folder: Path) -> Artifact:
        """Raises OSError when it is not there, ValueError when it is not an artifact of this format."""
        path = folder / FILE_NAME
        try:
            facts = json.loads(read_plain_text(path))
            is_sound = all(_SEGMENT_FILE.fullmatch(one["file"]) and one["sha256"] for one in facts["segments"])
            found = facts["format"]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} does not describe an artifact ({type(error).__name__}: {error})") from error
        if found != FORMAT:
            raise ValueError(f"{path} has format {found!r}, expected {FORMAT}")
        if missing := sorted(_FACTS - facts.keys()):
            raise ValueError(f"{path} does not describe an artifact: it has no {missing[0]!r}")
        if not is_sound or not facts["segments"]:
            raise ValueError(f"{path} has no segments, or one that is not a file beside it")
        return cls(folder, facts)

    def damaged_files(self) -> list[str]:
        """The files that are missing or no longer have their recorded SHA-256."""
        return [
            segment["file"]
            for segment in self.facts["segments"]
            if not (path := self.folder / segment["file"]).is_file() or file_sha256(path) != segment["sha256"]
        ]

    def load(self, threads: int) -> StagedExecutor:
        """Ready to classify, with `threads` threads. Imports NumPy and the artifact's runtime, nothing else."""
        files = [self.folder / segment["file"] for segment in self.facts["segments"]]
        segments = runtime_named(self.facts["runtime"]).load(files, threads, self.facts["quantization"])
        return StagedExecutor(segments, self.facts["exit_threshold"])


def export_model(job: ExportJob, facts: NetworkFacts, runtime: str, folder: Path) -> None:
    """Fill `folder` with the job's segments and model.json, checked against the torch network. `facts` are the job's.

    Raises ExportFailed when nothing became int8, or when float32 logits differ by more than FLOAT_TOLERANCE.
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
    files = [folder / segment.file for segment in written]
    with _own_threads():
        executor = StagedExecutor(plugin.load(files, 1, quantization), 1.0)
        difference = _difference(job.shipped(), executor, job.calibration[:64])
    if quantization == "none" and difference > FLOAT_TOLERANCE:
        reason = (
            f"logits of the {runtime} artifact differ from the network's by {difference:.3g} "
            f"(relative to the largest), more than {FLOAT_TOLERANCE:g}"
        )
        raise ExportFailed("export mismatch", reason)
    is_invariant = plugin.is_batch_invariant(quantization)
    write_json(folder / "model.json", _model_facts(is_invariant, facts, written, job.calibration, difference, folder))


@contextmanager
def _own_threads() -> Iterator[None]:
    """Loading an eager program sets the threads of this process's torch, which goes on to train with all of them."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _model_facts(
    is_batch_invariant: bool,
    facts: NetworkFacts,
    written: tuple[SegmentFile, ...],
    calibration: Array,
    difference: float,
    folder: Path,
) -> dict[str, Any]:
    total = sum(facts.mega_macs)
    int8 = sum(macs * segment.int8_mac_share for macs, segment in zip(facts.mega_macs, written, strict=True))
    return {
        "input": {"name": "images", "dtype": "uint8", "shape": list(calibration.shape[1:])},
        "is_batch_invariant": is_batch_invariant,
        "n_parameters": facts.n_parameters,
        "n_layers": sum(segment.n_layers for segment in written),
        "n_int8_layers": sum(segment.n_int8_layers for segment in written),
        "int8_mac_share": int8 / total if total else 0.0,
        "max_logit_difference": difference,
        "segments": [
            {
                **asdict(segment),
                "mega_macs": macs,
                "sha256": file_sha256(folder / segment.file),
                "bytes": (folder / segment.file).stat().st_size,
            }
            for macs, segment in zip(facts.mega_macs, written, strict=True)
        ],
    }


def _difference(network: StagedNetwork, executor: StagedExecutor, images: Array) -> float:
    """The largest difference of any exit's logits, at the full batch and at batch 1, relative to the largest logit."""
    import torch

    worst = 0.0
    for batch in (images, images[:1]):
        with torch.inference_mode():
            expected = torch.stack(network.eval()(torch.from_numpy(batch.copy()))).numpy()
        made = executor.all_exits(batch)
        if not (np.isfinite(expected).all() and np.isfinite(made).all()):
            raise ExportFailed("not a number", "the network's logits are not finite numbers")
        worst = max(worst, float(abs(made - expected).max() / max(1.0, abs(expected).max())))
    return worst


def is_whole_model(folder: Path) -> bool:
    """Whether `folder` holds what `export_model` wrote, byte for byte."""
    try:
        segments = json.loads((folder / "model.json").read_text(encoding="utf-8"))["segments"]
        return all(file_sha256(folder / segment["file"]) == segment["sha256"] for segment in segments)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def artifact_key(model_key: str, exit_threshold: float) -> str:
    """The artifact's name, from the key of the exported model and the threshold."""
    return content_key({"format": FORMAT, "model": model_key, "exit_threshold": exit_threshold})


def store_artifact(
    model: Path, model_key: str, runtime: str, quantization: str, exit_threshold: float, artifacts: Path
) -> Artifact:
    """Copy an exported model's files into `artifacts`/<id> with artifact.json, whole or not at all; reuse a good one.

    A study's folder may come from somebody else: files that differ from the model's are only reused if they are safe to
    load. Raises OSError.
    """
    key = artifact_key(model_key, exit_threshold)
    target = artifacts / key
    facts = {
        "format": FORMAT,
        "id": key,
        "runtime": runtime,
        "quantization": quantization,
        "exit_threshold": exit_threshold,
        **json.loads((model / "model.json").read_text(encoding="utf-8")),
    }
    stored = _whole(target)
    if stored and (stored.facts["segments"] == facts["segments"] or not unsafe_segments(target, stored.facts)):
        return stored
    if target.is_dir():
        shutil.rmtree(target)
    with new_folder(target) as draft:
        for segment in facts["segments"]:
            shutil.copyfile(model / segment["file"], draft / segment["file"])
        write_json(draft / FILE_NAME, facts)
    return Artifact(target, facts)


def _whole(folder: Path) -> Artifact | None:
    """The artifact in that folder, unless it is missing or damaged."""
    try:
        stored = Artifact.read(folder)
    except (OSError, ValueError):
        return None
    return None if stored.damaged_files() else stored
