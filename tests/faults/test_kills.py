"""What a study survives: death at any moment. KILL_ROUNDS and KILL_SEED ask for more, or other, rounds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from disturbance import MAY_END_WITH

HARNESS = Path(__file__).with_name("kills.py")
N_ROUNDS, N_STEPS = len(MAY_END_WITH) + 1, 10


def harness(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(HARNESS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_study_disturbed_at_random_moments_keeps_every_promise(tmp_path):
    n_rounds = int(os.environ.get("KILL_ROUNDS", N_ROUNDS))
    seed = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    ended = harness("rounds", tmp_path / "killed", n_rounds, seed)
    assert ended.returncode == 0, f"seed {seed}:\n{ended.stdout}\n{ended.stderr}"
    assert ended.stdout.count("exit code") == n_rounds
    if n_rounds >= len(MAY_END_WITH):
        assert all(f": {kind}, exit code" in ended.stdout for kind in MAY_END_WITH)


@pytest.mark.slow
def test_study_killed_before_steps_of_writing_keeps_every_promise(tmp_path):
    ended = harness("sweep", tmp_path / "swept", N_STEPS)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    assert ended.stdout.count("steps: ") == N_STEPS
