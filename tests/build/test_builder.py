"""The builder: a stopped training keeps a checkpoint from which the next start goes on; what a build answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from explorer.build.builder import Builder
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact, ArtifactFacts
from explorer.runtimes.int8_range import FULL, REDUCED
from explorer.system import environment

MODEL: dict[str, Any] = {
    "task": "classification",
    "model": "own_networks:good",
    "recipe": None,
    "is_shipped": False,
    "recovery_steps": 0,
    "input": {"word": "dataset"},
}
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


def test_build_answers_the_memory_of_the_network_that_it_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1] / "study")
    answers = _Answers()
    builder = Builder()
    data = {"name": "digits", "validation": 301, "calibration": 64}
    model: dict[str, Any] = {
        "task": "classification",
        "model": "own_networks:good",
        "recipe": None,
        "is_shipped": False,
        "recovery_steps": 0,
    }
    model["input"] = {"word": "dataset"}
    builder.handle({"op": "prepare", "data": data, "root": None, **MODEL}, answers)
    request = {"op": "build", "variant": Variant(runtime="eager").to_json(), "artifacts": str(tmp_path)}
    builder.handle(request, answers)
    assert answers.failures == []
    built = answers.results[-1]
    memory, facts = built["memory_bytes"], Artifact.read(tmp_path / built["artifact"]).facts
    assert 4 * facts.n_parameters < memory["parameters"] < 4.5 * facts.n_parameters
    assert memory["workspace"] == 4 * 9 * 8 * 8
    assert len(memory["segments"]) == len(facts.segments)


@pytest.fixture(scope="module")
def int8_built(tmp_path_factory) -> dict[tuple[str, str], ArtifactFacts]:
    """The facts of what one builder makes on two scripted processors, by quantization and range."""
    root, answers, builder = tmp_path_factory.mktemp("int8"), _Answers(), Builder()
    data = {"name": "digits", "validation": 301, "calibration": 64}
    model: dict[str, Any] = {
        "task": "classification",
        "model": "own_networks:good",
        "recipe": None,
        "is_shipped": False,
        "recovery_steps": 0,
    }
    model["input"] = {"word": "dataset"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)
        builder.handle({"op": "prepare", "data": data, "root": None, **MODEL}, answers)
        made = {}
        for int8_range, instructions in ((FULL, ["avx2", "avx512_vnni"]), (REDUCED, ["avx2"])):
            here = {**environment.processor(), "instructions": instructions}
            patch.setattr(environment, "processor", lambda here=here: here)
            for quantization in ("static_int8", "dynamic_int8"):
                variant = Variant(runtime="onnxruntime", quantization=quantization)
                builder.handle({"op": "build", "variant": variant.to_json(), "artifacts": str(root)}, answers)
                assert answers.failures == []
                made[quantization, int8_range] = Artifact.read(root / answers.results[-1]["artifact"]).facts
    return made


def test_build_static_int8_follows_the_processor_and_is_another_artifact_for_another(int8_built):
    full, reduced = int8_built["static_int8", FULL], int8_built["static_int8", REDUCED]
    assert (full.int8_range, reduced.int8_range) == (FULL, REDUCED)
    assert full.id != reduced.id
    assert full.segments[0].sha256 != reduced.segments[0].sha256


def test_build_dynamic_int8_is_the_same_artifact_for_every_processor(int8_built):
    full, reduced = int8_built["dynamic_int8", FULL], int8_built["dynamic_int8", REDUCED]
    assert full == reduced
    assert full.int8_range is None


class _Answers:
    """Keeps what a builder answers."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.failures: list[tuple[Any, ...]] = []

    def phase(self, name: str) -> None:
        pass

    def progress(self, values: dict[str, Any]) -> None:
        pass

    def result(self, values: dict[str, Any]) -> None:
        self.results.append(values)

    def failure(self, *words: Any) -> None:
        self.failures.append(words)
