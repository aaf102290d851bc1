"""`explore start`: run or resume a study, then show its front."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from explorer.commands.printing import console, note, print_json
from explorer.errors import Interrupted
from explorer.space.overrides import Overrides
from explorer.space.read import load_space
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.front import front_summary
from explorer.study.interrupt import Interrupt
from explorer.study.locate import studies_folder
from explorer.study.loop import run_study
from explorer.study.vocabulary import vocabulary
from explorer.views.live import make_view
from explorer.views.outputs import write_outputs
from explorer.views.tables import print_front


def start(
    file: Path,
    overrides: Overrides,
    data: Path | None,
    studies: Path | None,
    storage: str | None,
    fork: str | None,
    is_json: bool,
    is_quiet: bool,
) -> None:
    """Run the study that `file` describes, as `explorer.study.loop.run_study` does, and print its front."""
    words = vocabulary()
    space = load_space(file, words, overrides)
    root = studies_folder(studies)
    fork_from = None
    if fork is not None:
        fork_from = root / space.name
        space = load_space(file, words, replace(overrides, name=fork))
    folder = root / space.name
    view = make_view(space, sys.stderr, is_quiet)
    with Interrupt() as interrupt:
        evaluator = MeasuringEvaluator(space, folder, data, interrupt)
        try:
            result = run_study(space, words, folder, evaluator, view, interrupt, write_outputs, storage, fork_from)
        except Interrupted as stopped:
            again = f"explore start {file}" + (f" --name {space.name}" if overrides.name or fork else "")
            raise Interrupted(f"{stopped}; what was measured is in {folder}. To go on: {again}") from None
        finally:
            evaluator.close()
            view.close()
    if is_json:
        print_json(front_summary(result).to_json())
    elif not is_quiet:
        print_front(console(), result, front_summary(result))
    if not is_quiet:
        note(f"{folder / 'report.html'}: the interactive front; beside it front.csv and trials.csv")
