"""Load ONNX files with ONNX Runtime. Part of every bundle of this runtime; imports nothing of this package."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Segment = Callable[[NDArray[Any]], tuple[NDArray[Any], ...]]


def load_segments(files: Sequence[Path], threads: int, quantization: str) -> list[Segment]:
    """Create one session a segment, features [b, ...] -> outputs [b, ...], each with `threads` threads."""
    return [session_of(str(file), threads) for file in files]


def session_of(model: str | bytes, threads: int) -> Segment:
    """Create a CPU session, features [b, ...] -> outputs [b, ...], of an ONNX file or its bytes.

    Raises RuntimeError if another provider is used.
    """
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

    def call(features: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return tuple(session.run(None, {name: features}))

    return call
