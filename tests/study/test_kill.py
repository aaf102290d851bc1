"""What a study survives: death at any moment. KILL_ROUNDS and KILL_SEED ask for more, or other, rounds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

HARNESS = Path(__file__).with_name("kill_harness.py")


def harness(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(HARNESS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_study_killed_at_random_moments_keeps_every_invariant(tmp_path):
    n_rounds = int(os.environ.get("KILL_ROUNDS", "15"))
    seed = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
    ended = harness("random", tmp_path / "study", n_rounds, seed)
    assert ended.returncode == 0, f"seed {seed}:\n{ended.stdout}\n{ended.stderr}"


def test_study_killed_at_each_step_of_writing_keeps_every_invariant(tmp_path):
    ended = harness("sweep", tmp_path / "studies")
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
