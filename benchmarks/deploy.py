"""What leaves, against what was measured: run.py, the ONNX file, the server, and how long an export takes.

    python benchmarks/deploy.py studies/cifar10-cnn [--trial N] [--rounds 40]

Latencies are compared in one process and on one core, in short windows that alternate, so that the machine's drift
falls on all of them alike; each figure is the ratio of the medians (or means) with a 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.deploy.verify.bundle import read_bundle
from explorer.runtimes.onnxruntime_loading import session_of

Query = Callable[[NDArray[np.uint8]], object]
_WINDOW = 100  # queries
_N_REQUESTS = 2000


def export(study: Path, trial: str, target: Path, form: str) -> float:
    """Seconds that the command takes, as a user runs it, the second time (logits of the test split are then known)."""
    seconds = []
    for _ in range(2):
        command = [sys.executable, "-m", "explorer", "export", str(study), *trial.split(), "--force", "--format", form]
        started = time.perf_counter()
        subprocess.run([*command, "-o", str(target)], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    print(f"explore export --format {form}: {seconds[0]:.2f} s, and {seconds[1]:.2f} s again")
    return seconds[0]


def class_of_run_py(bundle: Path) -> Any:
    """The Classifier of the bundle's run.py, imported as a user would."""
    spec = importlib.util.spec_from_file_location("run", bundle / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.Classifier()


def windows(calls: Mapping[str, Query], images: NDArray[np.uint8], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Milliseconds [rounds, queries] of each call, on the same images, in windows that alternate."""
    found: dict[str, list[list[float]]] = {name: [] for name in calls}
    for call in calls.values():
        for index in range(200):
            call(images[index % len(images)][None])
    order = list(calls)
    for turn in range(rounds):
        for name in order if turn % 2 else reversed(order):
            call, times = calls[name], []
            for index in range(_WINDOW):
                query = images[(turn * _WINDOW + index) % len(images)][None]
                before = time.perf_counter_ns()
                call(query)
                times.append((time.perf_counter_ns() - before) / 1e6)
            found[name].append(times)
    return {name: np.array(times) for name, times in found.items()}


def compare(name: str, these: NDArray[np.float64], those: NDArray[np.float64]) -> None:
    """Print the ratios of medians and of means, resampling the windows as pairs."""
    rng = np.random.default_rng(0)
    for what, statistic in (("median", np.median), ("mean", np.mean)):
        draws = [rng.integers(0, len(these), len(these)) for _ in range(500)]
        ratios = [statistic(these[draw]) / statistic(those[draw]) for draw in draws]
        low, high = np.percentile(ratios, [2.5, 97.5])
        ratio = statistic(these) / statistic(those)
        print(
            f"{name}, {what}: {statistic(these):.4f} ms, {ratio:.3f} x the staged executor's ({low:.3f} to {high:.3f})"
        )


def request_times(port: int, name: str, images: NDArray[np.uint8], n: int) -> NDArray[np.float64]:
    """Milliseconds of `n` requests of one image each, one after the other, over one connection, binary tensors."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    shape = list(images[:1].shape)
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "images",
                    "shape": shape,
                    "datatype": "UINT8",
                    "parameters": {"binary_data_size": int(np.prod(shape))},
                }
            ],
            "outputs": [{"name": "logits", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    times = []
    for index in range(n):
        body = head + images[index % len(images)].tobytes()
        before = time.perf_counter_ns()
        connection.request("POST", f"/v2/models/{name}/infer", body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        times.append((time.perf_counter_ns() - before) / 1e6)
    connection.close()
    return np.array(times)


def saturated(port: int, name: str, images: NDArray[np.uint8], n_clients: int) -> float:
    """Images a second of that many clients together."""
    threads = [
        threading.Thread(target=request_times, args=(port, name, images, _N_REQUESTS // n_clients))
        for _ in range(n_clients)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _N_REQUESTS // n_clients * n_clients / (time.perf_counter() - started)


def serve(bundle: Path, images: NDArray[np.uint8], bare_ms: float) -> None:
    """The server in a process of its own, asked from this one."""
    manifest = read_bundle(bundle).manifest
    command = [sys.executable, "-m", "explorer", "serve", str(bundle), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        port = int(said.rsplit(":", 1)[1].split("/")[0].split()[0])
        request_times(port, manifest.name, images, 200)
        times = request_times(port, manifest.name, images, _N_REQUESTS)
        print(f"a request, one client: median {np.median(times):.3f} ms, {np.median(times) - bare_ms:.3f} ms added")
        for n_clients in (2, 8, 32):
            print(f"{n_clients} clients: {saturated(port, manifest.name, images, n_clients):.0f} images/s")
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--trial", type=int, help="else the knee")
    parser.add_argument("--images", type=Path, help="a .npy of uint8 images [n, c, h, w] (else the bundle's samples)")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    wanted = "--knee" if options.trial is None else f"--trial {options.trial}"
    with tempfile.TemporaryDirectory() as place:
        bundle, onnx = Path(place, "bundle"), Path(place, "onnx")
        export(options.study, wanted, bundle, "bundle")
        export(options.study, wanted, onnx, "onnx")
        manifest = read_bundle(bundle).manifest
        with np.load(bundle / "samples.npz") as samples:
            images = np.load(options.images)[:4000] if options.images else samples["inputs"]
        print(f"{manifest.name}: {manifest.variant.to_json()}")
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, [max(everywhere)])
        staged = read_bundle(bundle).executor(1)
        calls: dict[str, Query] = {
            "staged": staged.classify,
            "run.py": class_of_run_py(bundle).classify,
            "onnx file": session_of(str(onnx / "model.onnx"), 1),
        }
        times = windows(calls, images, options.rounds)
        study_ms = manifest.metrics["latency_ms"].value
        print(f"staged executor: median {np.median(times['staged']):.4f} ms now, {study_ms:.4f} ms in the study")
        for name in ("run.py", "onnx file"):
            compare(name, times[name], times["staged"])
        mean = float(times["staged"].mean())
        print(f"bare runtime, one thread: {1000 / mean:.0f} images/s on one core")
        os.sched_setaffinity(0, everywhere)
        serve(bundle, images, float(np.median(times["staged"])))


if __name__ == "__main__":
    main()
