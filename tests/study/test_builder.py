"""The builder's training: a stop keeps a checkpoint, and the next start goes on from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

EXPLORE = str(Path(sys.executable).with_name("explore"))
SPACE = """\
name: stopped
model: slimmable_cnn
data: {name: digits, validation: 301}
objectives: {accuracy: maximize, latency_ms: minimize}
training: {recipe: long}
"""


@pytest.mark.slow
def test_train_interrupted_keeps_a_checkpoint_and_goes_on_from_it(tmp_path):
    space = tmp_path / "stopped.yaml"
    space.write_text(SPACE)
    cache = tmp_path / "cache"
    command = [EXPLORE, "train", str(space)]
    environment = {**os.environ, "EXPLORER_CACHE": str(cache)}

    def stopped_shares() -> list[int]:
        """Train until the second line of progress, then Ctrl-C; the percentages that were said."""
        running = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert running.stderr is not None
        shares: list[int] = []
        for line in running.stderr:
            if "epoch" in line:
                shares.append(int(line.split("train: ")[1].split(" %")[0]))
            if len(shares) == 2:
                running.send_signal(signal.SIGINT)
                break
        said = running.communicate(timeout=60)[1].splitlines()
        assert running.returncode == 130
        assert "explore train" in said[-1]
        return shares

    first = stopped_shares()
    (checkpoint,) = cache.glob("weights/*.checkpoint.safetensors")
    kept = checkpoint.read_bytes()
    second = stopped_shares()
    assert second[0] >= first[-1] > 1
    assert checkpoint.read_bytes() != kept
    assert list(cache.glob("weights/*/weights.safetensors")) == []
