"""ONNX Runtime: an ONNX file a segment; dynamic int8, and static int8 as QDQ with per-channel weights."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from explorer.files import write_bytes
from explorer.runtimes.onnx_layers import count_int8_layers
from explorer.runtimes.runtime import ExportFailed, ExportJob, Runtime, SegmentFile
from explorer.runtimes.staged import Array, Segment

if TYPE_CHECKING:
    import onnx

    from explorer.models.network import StagedNetwork

_CALIBRATION_BATCH = 32


def load_segments(files: Sequence[Path], threads: int, quantization: str) -> list[Segment]:
    """One session a segment, each with `threads` threads."""
    return [session_of(str(file), threads) for file in files]


def session_of(model: str | bytes, threads: int) -> Segment:
    """A session of an ONNX file, or of its bytes, on the processor. Raises RuntimeError when it runs elsewhere."""
    import os

    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it collects how it is used, in a thread of its own
    import onnxruntime

    provider = "CPUExecutionProvider"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=[provider])
    if session.get_providers() != [provider]:
        raise RuntimeError(f"ONNX Runtime uses {session.get_providers()}, not the {provider} that was asked for")
    name = session.get_inputs()[0].name

    def call(features: Array) -> tuple[Array, ...]:
        return tuple(session.run(None, {name: features}))

    return call


class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"
    packages = ("onnxruntime",)
    modules = ("onnxruntime",)
    oldest = MappingProxyType({"onnx": (1, 21)})  # it fixes CVE-2026-27489, CVE-2026-34445 and CVE-2026-28500
    quantizations = frozenset({"none", "dynamic_int8", "static_int8"})
    provider = "CPUExecutionProvider"
    loading = (load_segments, session_of)

    def is_batch_invariant(self, quantization: str) -> bool:
        """Dynamic int8 takes one activation scale for the whole batch, so that images depend on their neighbors."""
        return quantization != "dynamic_int8"

    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """One .onnx a segment, without external data."""
        import onnx

        floats = _float_segments(job)
        features = job.calibration
        written = []
        for index, model in enumerate(floats):
            file = f"segment_{index}.onnx"
            onnx.save(_quantized(model, job.quantization, features, folder), folder / file)
            layers = count_int8_layers(model, folder / file)
            written.append(SegmentFile(file, layers.n_layers, layers.n_int8_layers, layers.int8_mac_share))
            if index < len(floats) - 1 and job.quantization == "static_int8":
                features = _features(model, features)
        return tuple(written)


def _float_segments(job: ExportJob) -> list[onnx.ModelProto]:
    """Export the network once, with the features between its segments as outputs; cut the graph wherever it is needed.

    The export takes seconds and the cuts milliseconds, so the whole graph is kept for the network's other artifacts.
    """
    import onnx
    from onnx.utils import Extractor

    last = len(job.network.segments) - 1
    features = [f"features_{index}" for index in range(last)]
    whole = job.scratch / "network.onnx"
    if not whole.is_file():
        outputs = [name for index in range(last) for name in (f"logits_{index}", features[index])]
        model = _exported(job.network, job.calibration[:2], [*outputs, f"logits_{last}"])
        write_bytes(whole, model.SerializeToString())
    extractor = Extractor(onnx.load(whole))
    if not job.has_exits:
        return [extractor.extract_model(["images"], [f"logits_{last}"])]
    taps = ["images", *features, f"logits_{last}"]
    return [
        extractor.extract_model([start], [f"logits_{index}", end] if index < last else [end])
        for index, (start, end) in enumerate(pairwise(taps))
    ]


def _exported(network: StagedNetwork, images: Array, outputs: list[str]) -> onnx.ModelProto:
    import torch
    from torch import nn

    class Tapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
            made: list[torch.Tensor] = []
            for segment in self.network.segments[:-1]:
                logits, features = segment(features)
                made += [logits, features]
            return (*made, self.network.segments[-1](features))

    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            Tapped().eval(),
            (torch.from_numpy(images.copy()),),
            input_names=["images"],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return _without_notes(program.model_proto)


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what the exporter noted: where in which file, on this machine, each node was called."""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, model.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter and the quantizers speak of their own inner matters; the builder's log is for ours."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _quantized(model: onnx.ModelProto, quantization: str, features: Array, folder: Path) -> onnx.ModelProto:
    """`folder` is where the quantizers' own files may lie meanwhile. Raises OSError when the disk is full."""
    import onnx
    from onnxruntime import quantization as ort

    if quantization == "none":
        return model
    with tempfile.TemporaryDirectory(dir=folder) as place, _temporary_files_in(place), _quiet():
        names = ("float", "optimized", "prepared", "int8")
        source, optimized, with_shapes, target = (Path(place, f"{name}.onnx") for name in names)
        onnx.save(model, source)  # given the model itself, the pre-processor would move its weights to another file
        _optimize(source, optimized)
        ort.quant_pre_process(optimized, with_shapes, skip_symbolic_shape=True, skip_optimization=True)
        prepared = onnx.load(with_shapes)
        if quantization == "dynamic_int8":
            # The quantizer transposes weights, and then refuses the shapes that pre-processing noted for them.
            prepared.graph.ClearField("value_info")
            ort.quantize_dynamic(prepared, target, weight_type=ort.QuantType.QUInt8)
        elif quantization == "static_int8":
            ort.quantize_static(
                prepared,
                target,
                _Calibration(prepared.graph.input[0].name, features),
                quant_format=ort.QuantFormat.QDQ,
                per_channel=True,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                nodes_to_exclude=_normalization(prepared),
                # Logits stay float32: 256 steps would blur the confidence that decides an early exit.
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            )
        else:
            raise ExportFailed("unsupported quantization", f"onnxruntime cannot quantize with {quantization!r}")
        return onnx.load(target)


@contextmanager
def _temporary_files_in(place: str) -> Iterator[None]:
    """The quantizers' own folders are made there, where they are found and removed if this process is killed."""
    usual, tempfile.tempdir = tempfile.tempdir, place
    try:
        yield
    finally:
        tempfile.tempdir = usual


def _optimize(source: Path, target: Path) -> None:
    """Write `source` to `target` with ORT's basic optimizations, as its pre-processor would.

    That goes on without them when they fail, so that a full disk would give another artifact. Raises OSError for one.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(str(source), options, providers=[OnnxRuntime.provider])
    except Exception:  # "Protobuf serialization failed", and others that do not say why
        target.write_bytes(source.read_bytes())  # says so if it is the disk
        raise


class _Calibration:
    """The calibration features, in batches, as ORT's CalibrationDataReader wants them."""

    def __init__(self, name: str, features: Array) -> None:
        starts = range(0, len(features), _CALIBRATION_BATCH)
        self._batches = iter([{name: features[start : start + _CALIBRATION_BATCH]} for start in starts])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)


def _normalization(model: onnx.ModelProto) -> list[str]:
    """The nodes before the first layer: raw pixels have 256 levels already, and quantizing them again loses some."""
    names = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            break
        names.append(node.name)
    return names


def _features(model: onnx.ModelProto, features: Array) -> Array:
    """What the next segment is calibrated with: this one's float32 features."""
    segment = session_of(model.SerializeToString(), 1)
    starts = range(0, len(features), _CALIBRATION_BATCH)
    return np.concatenate([segment(features[start : start + _CALIBRATION_BATCH])[1] for start in starts])
