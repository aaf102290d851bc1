"""The long runs of the kill harness of tests/faults: what a study survives, and at which moment it does not.

    python benchmarks/nights.py kills [--rounds 200] [--seed 0]    signals at random moments to any of the processes
    python benchmarks/nights.py sweep                              death before every step of writing

Each round disturbs `explore start` and starts it again; the last line says how many rounds the study survived.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "faults"))

import kills
import processes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "sweep"))
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    processes.prepare_process()
    began, n_survived = time.monotonic(), 0

    def say(line: str) -> None:
        nonlocal n_survived
        n_survived += 1
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "night"
        try:
            if arguments.what == "kills":
                n_run = kills.rounds(root, arguments.rounds, arguments.seed, say)
            else:
                n_run = kills.sweep(root, None, say)
        except processes.Fault as fault:
            print(f"survived {n_survived}, and then not: {fault}")
            return 1
    print(f"survived {n_survived} of {n_run} {'rounds' if arguments.what == 'kills' else 'steps'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
