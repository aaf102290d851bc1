"""Bundles of strangers, as `explore verify` and `explore serve` meet them."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bad_case import Case, Payload
from onnx import TensorProto
from tiny_bundle import change_manifest, linear_model, seal, state, write_tiny_bundle

VERIFY = ("verify", "bundle", "--quick")
SERVE = ("serve", "bundle", "--port", "0")
_SEGMENT = "model/segment_0.onnx"


@cache
def _whole(place: Path) -> Path:
    """An honest bundle, made once, beside the folders of all tests."""
    (place / "honest").mkdir()
    return write_tiny_bundle(place / "honest" / "bundle", n_exits=2)


def bundle(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """The honest bundle, and then `change` in its folder."""

    def make(work: Path) -> None:
        change(Path(shutil.copytree(_whole(work.parents[1]), work / "bundle")))

    return make


def manifest(change: Callable[[str], str]) -> Callable[[Path], None]:
    """The text of the manifest is changed, without a thought for its seal."""
    return bundle(lambda folder: (folder / "manifest.json").write_text(change((folder / "manifest.json").read_text())))


def model(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """The first segment is changed by somebody who sees to it that every hash still fits."""

    def make(folder: Path) -> None:
        graph = onnx.load(folder / _SEGMENT)
        change(graph)
        (folder / _SEGMENT).write_bytes(graph.SerializeToString())
        seal(folder, _SEGMENT)

    return bundle(make)


def _flipped(name: str) -> Callable[[Path], None]:
    def flip(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return bundle(flip)


def _linked(folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/etc/passwd")


def _piped(folder: Path) -> None:
    (folder / "Dockerfile").unlink()
    os.mkfifo(folder / "Dockerfile")


def _outside(graph: Any) -> None:
    tensor = graph.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def _stranger_operator(folder: Path) -> None:
    (folder / _SEGMENT).write_bytes(linear_model(True, 1.0, domain="evil.ops"))
    seal(folder, _SEGMENT)


def _pickled_model(folder: Path) -> None:
    (folder / _SEGMENT).write_bytes(pickle.dumps(Payload(folder.parent)))
    seal(folder, _SEGMENT)


def _pickled_program(folder: Path) -> None:
    """The same for the runtime whose files may hold pickles."""
    path = folder / "model" / "artifact.json"
    facts = json.loads(path.read_text())
    for segment in facts["segments"]:
        old = folder / "model" / segment["file"]
        old.unlink()
        segment["file"] = old.with_suffix(".pt2").name
        old.with_suffix(".pt2").write_bytes(pickle.dumps(Payload(folder.parent)))
    path.write_text(json.dumps({**facts, "runtime": "eager"}))

    def rename(stated: dict[str, Any]) -> None:
        stated["variant"]["runtime"] = stated["execution"]["runtime"] = "eager"
        stated["execution"]["packages"] = {"torch": version("torch")}
        for index in range(2):
            del stated["files"][f"model/segment_{index}.onnx"]

    change_manifest(folder, rename)
    seal(folder, "model/segment_0.pt2", "model/segment_1.pt2")


def _samples(**others: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with np.load(folder / "samples.npz") as archive:
            arrays = dict(archive)
        buffer = io.BytesIO()
        np.savez(buffer, **(arrays | {name: change(folder) for name, change in others.items()}))
        (folder / "samples.npz").write_bytes(buffer.getvalue())
        state(folder, "samples.npz")

    return bundle(make)


def _payload_array(folder: Path) -> Any:
    return np.array([Payload(folder.parent)], dtype=object)


def _packed(work: Path) -> None:
    with zipfile.ZipFile(work / "bundle.zip", "w") as archive:
        for name in ("../../canary", "/canary", "manifest.json", "manifest.json"[:-1]):
            archive.writestr(name, "{}")


def _nothing(work: Path) -> None:
    """There is no bundle."""


_FAILS = r"^bundle does not prove itself: files: {}"

FILES = (
    Case("bundle_missing", _nothing, VERIFY, 2,
         r"^there is no bundle at bundle: expected the folder that `explore export`"),
    Case("bundle_of_300_letters", _nothing, ("verify", "x" * 300), 2, r"^there is no bundle at x+: "),
    Case("bundle_of_300_letters_served", _nothing, ("serve", "x" * 300), 2, r"^there is no bundle at x+: "),
    Case("bundle_that_is_a_file", lambda work: (work / "bundle").write_text("{}"), VERIFY, 2,
         r"^bundle cannot be read as a bundle \(Not a directory\)"),
    Case("bundle_packed_with_climbing_names", _packed, ("verify", "bundle.zip"), 4,
         r"bundle\.zip is a packed bundle.*unpack it into a new folder, .* at most 1,000 files and no links"),
    Case("bundle_without_a_manifest", bundle(lambda f: (f / "manifest.json").unlink()), VERIFY, 4,
         _FAILS.format(r"manifest\.json is missing")),
    Case("bundle_without_a_file", bundle(lambda f: (f / "run.py").unlink()), VERIFY, 4,
         _FAILS.format(r"run\.py is missing")),
    Case("bundle_with_a_file_more", bundle(lambda f: (f / "setup.py").write_text("1 / 0")), VERIFY, 4,
         _FAILS.format(r"'setup\.py' is in the folder, and not in manifest\.json")),
    Case("bundle_with_a_link", bundle(_linked), VERIFY, 4, _FAILS.format(r"README\.md is a link")),
    Case("bundle_with_a_pipe", bundle(_piped), VERIFY, 4, _FAILS.format(r"Dockerfile is not a regular file")),
    Case("bundle_with_a_flipped_bit_in_the_model", _flipped(_SEGMENT), VERIFY, 4,
         _FAILS.format(r"model/segment_0\.onnx is not the file of the manifest")),
    Case("bundle_with_a_flipped_bit_in_the_samples", _flipped("samples.npz"), VERIFY, 4,
         _FAILS.format(r"samples\.npz is not the file of the manifest")),
    Case("bundle_with_a_flipped_bit_served", _flipped(_SEGMENT), SERVE, 4,
         r"^model/segment_0\.onnx is not the file of the manifest"),
    Case("manifest_cut_short", manifest(lambda text: text[: len(text) // 2]), VERIFY, 4,
         _FAILS.format(r"manifest\.json does not read as JSON")),
    Case("manifest_that_nests_too_deeply", manifest(lambda text: "[" * 100_000), VERIFY, 4,
         _FAILS.format(r"manifest\.json does not read as JSON: it is nested too deeply")),
    Case("manifest_of_5_mib", manifest(lambda text: text + " " * 5 * 2**20), VERIFY, 4,
         _FAILS.format(r"manifest\.json has more than the 4,194,304 bytes")),
    Case("manifest_that_was_changed", manifest(lambda text: text.replace("500.0", "100.0", 1)), VERIFY, 4,
         _FAILS.format(r"manifest\.json is not as it was written")),
)  # fmt: skip

MODELS = (
    Case("model_with_data_elsewhere", model(_outside), VERIFY, 4,
         _FAILS.format(r"model/segment_0\.onnx refers to external data: .*etc/passwd")),
    Case("model_with_a_strangers_operator", bundle(_stranger_operator), VERIFY, 4,
         _FAILS.format(r"model/segment_0\.onnx uses the operator 'evil\.ops\.Gemm'")),
    Case("model_with_a_tensor_of_a_tebibyte", model(lambda m: m.graph.initializer[0].dims.append(2**40)), VERIFY, 4,
         _FAILS.format(r"model/segment_0\.onnx declares the tensor 'weights' of 64 × 10 × 1099511627776 values")),
    Case("model_with_a_tensor_of_a_million_dimensions",
         model(lambda m: m.graph.initializer[0].dims.extend([2**62] * 1_000_000)), VERIFY, 4,
         _FAILS.format(r"model/segment_0\.onnx declares the tensor 'weights' of 64 × 10 × .* × … values")),
    Case("model_with_a_payload", bundle(_pickled_model), VERIFY, 4,
         _FAILS.format(r"model/segment_0\.onnx is not an ONNX model: it is not loaded")),
    Case("program_with_a_payload", bundle(_pickled_program), VERIFY, 4,
         _FAILS.format(r"model/segment_0\.pt2 is not an archive.*: it is not loaded")),
    Case("samples_with_a_payload", _samples(targets=_payload_array), VERIFY, 4,
         _FAILS.format(r"samples\.npz does not read: targets is not such an array as NumPy writes it")),
    Case("samples_with_an_array_more", _samples(secret=lambda folder: np.zeros(3)), VERIFY, 4,
         _FAILS.format(r"samples\.npz holds ")),
    Case("samples_of_no_archive", bundle(lambda f: (f / "samples.npz").write_bytes(b"PK") and state(f, "samples.npz")),
         VERIFY, 4, _FAILS.format(r"samples\.npz does not read: ")),
)  # fmt: skip

CASES = (*FILES, *MODELS)
