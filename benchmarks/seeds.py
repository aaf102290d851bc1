"""The default study with several seeds: hypervolume at 20, 40 and 60 trials, as a share of the box to the ideal.

    EXPLORER_DATA=... python benchmarks/seeds.py [--space search_spaces/cnn.yaml] [--seeds 3] [--keep DIR]

Each study has its own cache of stages, empty at first (only decoded data and trained weights are taken over), so that
none profits from another; six to seven minutes each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.system.hashing import cache_root

ROOT = Path(__file__).parents[1]
EXPLORE = str(Path(sys.executable).with_name("explore"))
MARKS = (20, 40, 60)


def run(space: Path, studies: Path, seed: int) -> float:
    """Seconds of a study `seed-<n>`."""
    name = f"seed-{seed}"
    command = [EXPLORE, "start", str(space), "--studies", str(studies), "--name", name, "--seed", str(seed), "--quiet"]
    with tempfile.TemporaryDirectory() as cache:
        for part in ("data", "weights"):
            if (cache_root() / part).is_dir():
                shutil.copytree(cache_root() / part, Path(cache, part))
        environment = {**os.environ, "EXPLORER_CACHE": cache}
        before = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - before


def share(result: StudyResult, n: int) -> float:
    """The hypervolume of the first n trials in percent of the box between reference and ideal point."""
    found = front_view(replace(result, trials=result.trials[:n]), is_search=True).hypervolume_ratio
    return 100 * (found or 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, default=ROOT / "search_spaces/cnn.yaml")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder for the studies; without it they are removed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        studies = arguments.keep or Path(place)
        print(
            "| seed | " + " | ".join(f"{n} trials" for n in MARKS) + " | front | seconds |\n|---|---|---|---|---|---|"
        )
        for seed in range(arguments.seeds):
            seconds = run(arguments.space, studies, seed)
            result = load_result(studies / f"seed-{seed}")
            assert result.reference_point is not None, "the baseline failed, so there is no reference point"
            cells = [f"{share(result, n):.2f} %" if len(result.trials) >= n else "–" for n in MARKS]
            n_front = len(front_view(result).entries)
            print(f"| {seed} | " + " | ".join(cells) + f" | {n_front} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
