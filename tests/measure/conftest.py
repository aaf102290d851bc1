"""Hand-made artifacts and images for the probes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/fakes.py is shared by several folders of tests
sys.path.insert(0, str(Path(__file__).parent))  # tests/measure/tiny_onnx.py is shared

from tiny_onnx import write_artifact, write_validation

from explorer.runtimes.artifact import Artifact
from explorer.tasks.task import Examples


@pytest.fixture
def artifact_of(tmp_path: Path) -> Callable[..., Artifact]:
    """Makes the artifact of an ONNX model's bytes."""
    return lambda content, **facts: write_artifact(tmp_path / "artifact", content, **facts)


@pytest.fixture
def validation(tmp_path: Path) -> Examples:
    """Sixty images of three classes, of which a perfect model gets 54 right."""
    return write_validation(tmp_path)
