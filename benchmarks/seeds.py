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
from pathlib import Path

from explorer.cache import cache_root
from explorer.study.front import front_summary
from explorer.study.read import load_result
from explorer.views.infos import history_info

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
            history = history_info(result)
            assert history is not None, "the baseline failed, so there is no reference point"
            cells = [f"{100 * history.values[n - 1]:.2f} %" if len(history.values) >= n else "–" for n in MARKS]
            n_front = len(front_summary(result).entries)
            print(f"| {seed} | " + " | ".join(cells) + f" | {n_front} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
