"""Static int8 of a network of width 0.5 in several schemes: accuracy, saturation and time, on this processor.

    EXPLORER_DATA=... python benchmarks/int8_range.py [--images 3000] [--rounds 30]
    EXPLORER_DATA=... python benchmarks/older_processor.py python benchmarks/int8_range.py

The network is that of the shipped weights. Each scheme is one ONNX file. `kernels` is the largest difference of its
logits from those of the same file without optimizations, which computes in float32 what the integers stand for,
relative to the largest logit: roundings, or saturation. Times are of one image on one thread, in windows that
alternate; each ratio is that of the medians, with a 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization as ort

from explorer.runtimes.int8_range import FULL, REDUCED, Int8Range
from explorer.runtimes.onnxruntime import OnnxRuntime
from explorer.runtimes.onnxruntime_loading import session_of
from explorer.runtimes.runtime import ExportJob
from explorer.system import environment

sys.path.insert(0, str(Path(__file__).parent))
from deploy import windows
from shipped_weights import World

WIDTH = 0.5
SCHEMES: dict[str, tuple[str, Int8Range, ort.QuantType, ort.QuantType]] = {
    "float32": ("none", FULL, ort.QuantType.QUInt8, ort.QuantType.QInt8),
    "U8S8, full range": ("static_int8", FULL, ort.QuantType.QUInt8, ort.QuantType.QInt8),
    "U8S8, reduced range": ("static_int8", REDUCED, ort.QuantType.QUInt8, ort.QuantType.QInt8),
    "S8S8, full range": ("static_int8", FULL, ort.QuantType.QInt8, ort.QuantType.QInt8),
    "U8U8": ("static_int8", FULL, ort.QuantType.QUInt8, ort.QuantType.QUInt8),
    "dynamic int8 (U8U8)": ("dynamic_int8", FULL, ort.QuantType.QUInt8, ort.QuantType.QUInt8),
}


def export(world: World, folder: Path) -> dict[str, Path]:
    """One file a scheme, made by the product's own quantizer."""
    network, usual, files = world.network(world.shipped(), WIDTH), ort.quantize_static, {}
    for name, (quantization, int8_range, activations, weights) in SCHEMES.items():
        target = folder / str(len(files))
        target.mkdir()
        job = ExportJob(network, False, quantization, world.calibration, folder / "scratch", int8_range)

        def quantize(*arguments: Any, types: dict[str, Any], **options: Any) -> None:
            usual(*arguments, **{**options, **types})

        types = {"activation_type": activations, "weight_type": weights}
        with patch.object(ort, "quantize_static", partial(quantize, types=types)):
            (segment,) = OnnxRuntime().export(job, target)
        files[name] = target / segment.file
    return files


def logits(file: Path, images: NDArray[np.uint8], is_optimized: bool = True) -> NDArray[np.float32]:
    """Logits [n, classes], by integer kernels or, without optimizations, in float32."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not is_optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"images": images[i : i + 100]})[0] for i in range(0, len(images), 100)]
    return np.concatenate(parts)


def ratio_text(these: NDArray[np.float64], those: NDArray[np.float64]) -> str:
    """The ratio of the medians over all queries, resampling the windows as pairs."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(these), len(these)) for _ in range(500)]
    low, high = np.percentile([np.median(these[d]) / np.median(those[d]) for d in draws], [2.5, 97.5])
    return f"{np.median(these) / np.median(those):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000, help="the first so many of the test split")
    parser.add_argument("--rounds", type=int, default=30, help="windows of 100 queries for each scheme")
    arguments = parser.parse_args()
    processor, world = environment.processor(), World("cifar10")
    images, labels = (part[: arguments.images] for part in world.test)
    print(f"{processor['name']}: {', '.join(processor['instructions'])}; ONNX Runtime {onnxruntime.__version__}")
    print(f"width {WIDTH}, {world.dataset.name} ({world.dataset.kind}), {len(images)} test images\n")
    with tempfile.TemporaryDirectory() as place:
        files = export(world, Path(place))
        calls = {name: session_of(str(file), 1) for name, file in files.items()}
        times = windows(calls, images, arguments.rounds)
        print("| scheme | accuracy, % | kernels | ms | time to U8S8 of full range |\n|---|---:|---:|---:|---:|")
        for name, file in files.items():
            made, meant = logits(file, images), logits(file, images[:300], is_optimized=False)
            accuracy = 100 * float((made.argmax(1) == labels).mean())
            difference = abs(made[:300] - meant).max() / abs(meant).max()
            ratio = ratio_text(times[name], times["U8S8, full range"])
            print(
                f"| {name} | {accuracy:.2f} | {difference:.4f} | {np.median(times[name]):.4f} | {ratio} |", flush=True
            )


if __name__ == "__main__":
    main()
