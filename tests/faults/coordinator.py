"""`explore start` as ever, with the scripted family and runtime registered, and a log of what it acknowledges.

    ACKNOWLEDGED=FILE python coordinator.py start SPACE.yaml ...

The log lies outside of the study: what its view was told, one JSON object a line.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, final

import scripted_runtime
import steps
from fakes import append_line

from explorer import cli
from explorer.commands import start
from explorer.measure import quality_pass
from explorer.records import Progress, Variant
from explorer.study import builder_process as building
from explorer.study.confirm import rounds as confirming
from explorer.study.evaluation import StudyView
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.journal import Entry
from explorer.system.worker_process import WorkerProcess

LOG = "ACKNOWLEDGED"
MODULES = {"explorer.build.builder": "scripted_builder", "explorer.measure.probe": "scripted_probe"}


class ScriptedChild(WorkerProcess):
    """A supervised process as ever, that runs the scripted builder or probe."""

    def __init__(self, module: str, *arguments: Any, **options: Any) -> None:
        super().__init__(MODULES[module], *arguments, **options)


@final
class AcknowledgingView:
    """Tells `view`, and then writes down that it was told."""

    def __init__(self, view: StudyView, path: Path) -> None:
        self._view = view
        self._path = path

    def on_progress(self, progress: Progress) -> None:
        self._view.on_progress(progress)

    def on_trial_start(self, number: int, variant: Variant) -> None:
        self._view.on_trial_start(number, variant)
        self._write({"start": number, "variant": variant.to_json()})

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        self._view.on_trial_end(record, result_so_far)
        self._write({"end": record.number, "record": Entry(record, {}, "").to_json()})

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        self._view.on_confirmed(result_so_far)
        assert result_so_far.confirmation is not None
        self._write({"confirmed": result_so_far.confirmation.to_json()})

    def on_note(self, text: str, is_error: bool = False) -> None:
        self._view.on_note(text, is_error)

    def close(self) -> None:
        self._view.close()

    def _write(self, event: dict[str, Any]) -> None:
        append_line(self._path, json.dumps(event))


def run(arguments: list[str]) -> None:
    """The command line; ends with SystemExit."""
    scripted_runtime.register()
    building.WorkerProcess = quality_pass.WorkerProcess = ScriptedChild
    confirming.MIN_ROUNDS = confirming.MAX_ROUNDS = 2  # further ones begin, write and end as these do
    make_view = start.make_view
    start.make_view = lambda *made: AcknowledgingView(make_view(*made), Path(os.environ[LOG]))
    steps.watch("coordinator")
    sys.argv = ["explore", *arguments]
    cli.main()


if __name__ == "__main__":
    run(sys.argv[1:])
