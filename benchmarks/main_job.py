"""The main job's figures: start-up, 60 trials of cnn.yaml, speed-up of the best variant, repeatability.

    EXPLORER_DATA=... python benchmarks/main_job.py [--space search_spaces/cnn.yaml] [--keep DIR]

Run a study once before, so that the data are in the cache (and the base network, where the search space has a recipe).
The first of the two studies runs with an empty cache of stages (only data and weights are taken over), the second one
with the first one's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
EXPLORE = str(Path(sys.executable).with_name("explore"))
NAMES = ("width", "pruning_ratio", "quantization", "runtime", "exit_threshold")


def seconds_of(*arguments: str, n: int = 5) -> float:
    """Median wall time of a command, once warm."""
    times = []
    for _ in range(n + 1):
        before = time.perf_counter()
        subprocess.run([EXPLORE, *arguments], cwd=ROOT, capture_output=True, check=True)
        times.append(time.perf_counter() - before)
    return statistics.median(times[1:])


def run_study(space: Path, studies: Path, name: str, environment: dict[str, str]) -> dict[str, Any]:
    """One study through the command, its coordinator watched."""
    command = [EXPLORE, "start", str(space), "--studies", str(studies), "--name", name, "--quiet"]
    started_at, before = time.time(), time.perf_counter()
    running = subprocess.Popen(command, cwd=ROOT, env=environment)
    peak_mib, has_torch = 0.0, False
    while running.poll() is None:
        with contextlib.suppress(OSError, psutil.Error):
            peak_mib = max(peak_mib, psutil.Process(running.pid).memory_info().rss / 2**20)
            has_torch |= "libtorch" in Path(f"/proc/{running.pid}/maps").read_text()
        time.sleep(0.5)
    wall_s = time.perf_counter() - before
    if running.returncode:
        raise SystemExit(f"the study ended with exit code {running.returncode}")
    trials = trials_of(studies / name)
    ready_s = trials[0]["started"] - started_at
    shown_s = trials[0]["finished"] - started_at
    stages_s = sum(stage["seconds"] for trial in trials for stage in trial["outcome"]["stages"])
    return {
        "wall_s": wall_s,
        "search_s": max(trial["finished"] for trial in trials) - started_at,
        "ready_s": ready_s,
        "shown_s": shown_s,
        "outside_ratio": (max(trial["finished"] for trial in trials) - trials[0]["started"] - stages_s) / wall_s,
        "coordinator_mib": peak_mib,
        "has_torch": has_torch,
        "trials": trials,
    }


def trials_of(folder: Path) -> list[dict[str, Any]]:
    """The finished trials of a study, as its journal keeps them."""
    return [json.loads(file.read_text()) for file in sorted((folder / "trials").glob("*.json"))]


def value(trial: dict[str, Any], metric: str) -> float:
    return float(trial["outcome"]["metrics"][metric]["value"])


def variant(trial: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(trial["outcome"]["variant"][name] for name in NAMES)


def eager_ratio(studies: Path, name: str, cache: Path) -> tuple[float, float]:
    """Median ms of the baseline's exported program and of the plain module, timed turn by turn on one core."""
    import numpy as np
    import torch

    from explorer.build.network_store import load_network
    from explorer.models.slimmable_cnn import build
    from explorer.runtimes.artifact import Artifact

    baseline = trials_of(studies / name)[0]["outcome"]
    artifact = Artifact.read(studies / name / "artifacts" / baseline["artifact"])
    shape = artifact.facts.input.shape
    outline = build(10, shape, [0.0] * shape[0], [1.0] * shape[0]).materialize(1.0)
    network = load_network(outline, cache / "networks" / baseline["details"]["network"])
    assert network is not None
    plain = network.without_exits().segments[0]
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    exported = artifact.load(1).segments[0]
    image = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)

    def call_plain(images: Any) -> Any:
        with torch.inference_mode():
            return plain(torch.from_numpy(images)).numpy()

    times: dict[str, list[float]] = {"exported": [], "plain": []}
    for query in range(2000):
        for label, call in (("exported", exported), ("plain", call_plain)):
            before = time.perf_counter()
            call(image)
            if query >= 100:
                times[label].append(time.perf_counter() - before)
    return statistics.median(times["exported"]) * 1e3, statistics.median(times["plain"]) * 1e3


def print_study(label: str, study: dict[str, Any]) -> None:
    trials = [t for t in study["trials"] if not t["outcome"]["failure"]]
    baseline = trials[0]
    floor = value(baseline, "accuracy") - 0.01
    best = min((t for t in trials if value(t, "accuracy") >= floor), key=lambda t: value(t, "latency_ms"))
    print(f"{label}")
    print(
        f"  trials                                {len(study['trials'])} ({len(study['trials']) - len(trials)} failed)"
    )
    print(f"  wall time of the search               {study['search_s']:.0f} s   (at most 360 s)")
    print(f"  and with its confirmation             {study['wall_s']:.0f} s")
    print(f"  until the first trial begins          {study['ready_s']:.1f} s")
    print(f"  until the first trial is on screen    {study['shown_s']:.1f} s   (at most 15 s)")
    print(f"  outside builder and probe             {study['outside_ratio']:.1%}   (at most 5 %)")
    print(f"  coordinator's peak memory             {study['coordinator_mib']:.0f} MiB   (at most 250 MiB)")
    print(f"  coordinator has torch                 {study['has_torch']}   (False)")
    accuracy, latency_ms = value(baseline, "accuracy"), value(baseline, "latency_ms")
    print(f"  baseline                              {accuracy:.4f}, {latency_ms:.3f} ms")
    print(f"  fastest within 1 point                {value(best, 'accuracy'):.4f}, {value(best, 'latency_ms'):.3f} ms")
    print(f"                                        {variant(best)}")
    ratio = latency_ms / value(best, "latency_ms")
    print(f"  speed-up                              {ratio:.1f} ×   (at least 5 ×)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, default=ROOT / "search_spaces" / "cnn.yaml")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the two studies in DIR/first and DIR/second")
    options = parser.parse_args()
    space = options.space
    from explorer.system.hashing import cache_root

    print(f"explore --help                          {seconds_of('--help'):.2f} s   (at most 0.5 s)")
    print(f"explore check {space.name:<26}{seconds_of('check', str(space)):.2f} s   (at most 1.5 s)")
    with tempfile.TemporaryDirectory(prefix="main-job-") as place:
        cache, studies = Path(place, "cache"), options.keep or Path(place, "studies")
        for kept in ("data", "weights"):
            if (cache_root() / kept).is_dir():
                shutil.copytree(cache_root() / kept, cache / kept)
        environment = {**os.environ, "EXPLORER_CACHE": str(cache)}
        first = run_study(space, studies, "first", environment)
        print_study("first study, empty cache of stages", first)
        second = run_study(space, studies, "second", environment)
        print_study("second study, same seed", second)
        pairs = list(zip(first["trials"], second["trials"], strict=True))
        same = sum(variant(a) == variant(b) for a, b in pairs)
        print(f"same variants, in the same order        {same} of {len(pairs)}")
        changes = [
            abs(value(b, "latency_ms") / value(a, "latency_ms") - 1) for a, b in pairs if variant(a) == variant(b)
        ]
        print(f"median |difference| of their latency    {statistics.median(changes):.2%}")
        exported, plain = eager_ratio(studies, "first", cache)
        print(f"eager: exported program, plain module   {exported:.3f} ms, {plain:.3f} ms")
        print(f"                                        {exported / plain - 1:+.1%}   (within 3 %)")


if __name__ == "__main__":
    main()
