"""`explore start` killed in the middle of a trial, with a real builder and real probes; tests/faults has the rest."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests/fakes.py is shared by several folders of tests

from fakes import start

from explorer.records import Variant
from explorer.space.read import load_space
from explorer.study.read import load_result
from explorer.study.vocabulary import vocabulary

pytestmark = pytest.mark.slow

SPACE = """\
name: stopped
model: slimmable_cnn
training: {recipe: quick}
recovery: {steps: 3}
data: {name: digits, validation: 200, calibration: 32}  # those of other tests: its network is trained once a run
parameters:
  width: [0.25, 0.5, 0.75, 1.0]
  pruning_ratio: [0.0, 0.3]
  quantization: [none, dynamic_int8, static_int8]
  runtime: [eager, onnxruntime]
objectives: {accuracy: maximize, latency_ms: minimize, cost_usd_per_million: minimize}
search: {sampler: tpe, trials: 3, seed: 0}
"""


def has_begun(folder: Path, number: int) -> bool:
    """Whether the study has begun that trial, asked of its own database."""
    if not (folder / "study.db").exists():
        return False
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        return bool(database.execute("SELECT 1 FROM trials WHERE number = ?", (number,)).fetchone())
    return False


def results(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "artifacts").glob("*/measurements/*.json")}


def variants(folder: Path) -> list[Variant]:
    return [trial.variant for trial in load_result(folder).trials]


def test_start_killed_in_the_middle_of_a_trial_goes_on_and_loses_nothing(known_times, tmp_path, eventually):
    space, folder = tmp_path / "stopped.yaml", tmp_path / "stopped"
    space.write_text(SPACE)
    command = [known_times, "start", str(space), "--studies", str(tmp_path), "--no-confirm", "--json"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: has_begun(folder, 1) or running.poll() is not None, 1800)
    assert running.poll() is None
    family = psutil.Process(running.pid).children(recursive=True)
    assert family
    running.send_signal(signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    psutil.wait_procs(family, timeout=60)
    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    before = results(folder)
    assert before

    resumed = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert sum(json.loads(resumed.stdout)["trials"].values()) == 3
    assert before.items() <= results(folder).items()
    undisturbed = start(load_space(space, vocabulary()), tmp_path / "undisturbed")
    assert variants(folder) == [trial.variant for trial in undisturbed.trials]
