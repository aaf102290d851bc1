"""The package of `diabetes_package.py`, written into a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.metrics import METRICS
from explorer.tasks.task import TASKS

sys.path.insert(0, str(Path(__file__).parent))
from diabetes_package import ENTRY_POINTS, METADATA, TASK


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The installed package's folder, on the path of this process and of those that it starts."""
    folder = tmp_path / "site"
    info = folder / "diabetes_task-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "diabetes_task.py").write_text(TASK)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
    _forget()
    yield folder
    _forget()
    sys.modules.pop("diabetes_task", None)


def _forget() -> None:
    """Read the entry points again, and the metrics of their tasks."""
    for name in ("_points", "_places"):
        vars(TASKS).pop(name, None)
    vars(METRICS).pop("_all", None)
