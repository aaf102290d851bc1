"""`explore start`: run or resume a study with its dashboard, then show its front."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from explorer.commands.own_code import say_own_code
from explorer.commands.printing import console, note, print_json
from explorer.commands.study_page import StudyPage, no_page, open_page
from explorer.errors import Interrupted, NothingFeasible, UsageError
from explorer.space.overrides import Overrides
from explorer.space.read import load_space
from explorer.space.values import SearchSpace, Vocabulary
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.front import front_summary
from explorer.study.installed import installed_part
from explorer.study.interrupt import Interrupt
from explorer.study.locate import studies_folder
from explorer.study.loop import run_study
from explorer.study.place import shown_storage
from explorer.study.result import StudyResult
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
    port: int | None,
    has_dashboard: bool,
    is_json: bool,
    is_quiet: bool,
    is_confirming: bool = True,
    is_skipping: bool = False,
) -> None:
    """Run the study that `file` describes, as `explorer.study.loop.run_study` does, and print its front.

    `is_skipping` leaves out the runtimes that are not installed. At a terminal the dashboard is served on until Ctrl-C.
    Raises NotAvailable when `port` is taken.
    """
    if port is not None and not has_dashboard:
        raise UsageError("expected --port or --no-dashboard, got both: leave one out")
    words = vocabulary()
    space = load_space(file, words, overrides)
    root = studies_folder(studies)
    fork_from = None
    if fork is not None:
        fork_from = root / space.name
        space = load_space(file, words, replace(overrides, name=fork))
    folder = root / space.name
    space, left_out = installed_part(space, words) if is_skipping else (space, {})
    if not is_quiet:
        for name, why in left_out.items():
            note(f"left out: runtime {name} ({why})")
    say_own_code(space.model)
    view = make_view(space, sys.stderr, is_quiet)
    # Without its link nobody could open a dashboard, and --quiet prints none unless a port is asked for.
    is_served = has_dashboard and (not is_quiet or port is not None)
    try:
        with Interrupt() as interrupt:
            say = note if is_quiet else view.on_note
            page = open_page(space, folder, storage, port, view, say) if is_served else no_page(view)
            try:
                evaluator = MeasuringEvaluator(space, folder, data, interrupt, left_out)
                result = _run(space, words, folder, evaluator, page, interrupt, storage, fork_from, is_confirming)
                _print(result, is_json, is_quiet)
                page.serve_on(interrupt)
            except NothingFeasible as nothing:
                page.serve_on(interrupt, str(nothing))
                raise
            finally:
                page.close()
    except Interrupted as stopped:  # here, where no other signal can come between the sentence and its end
        again = replace(overrides, name=space.name if overrides.name or fork else None)
        flags = {"--no-confirm": not is_confirming, "--skip-unavailable": is_skipping}
        line = _command_line(file, again, data, studies, storage, [flag for flag, is_set in flags.items() if is_set])
        raise Interrupted(f"{stopped}; what was measured is in {folder}. To go on: {line}") from None


def _command_line(
    file: Path,
    overrides: Overrides,
    data: Path | None,
    studies: Path | None,
    storage: str | None,
    flags: Sequence[str] = (),
) -> str:
    """What starts the same study again, as a shell reads it."""
    options = {
        "--name": overrides.name,
        "--trials": overrides.n_trials,
        "--timeout": None if overrides.timeout_s is None else f"{overrides.timeout_s:g}",
        "--sampler": overrides.sampler,
        "--seed": overrides.seed,
        "--data": data,
        "--studies": studies,
        "--storage": None if storage is None else shown_storage(storage),
    }
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join(["explore", "start", str(file), *words, *flags])


def _run(
    space: SearchSpace,
    words: Vocabulary,
    folder: Path,
    evaluator: MeasuringEvaluator,
    page: StudyPage,
    interrupt: Interrupt,
    storage: str | None,
    fork_from: Path | None,
    is_confirming: bool,
) -> StudyResult:
    """The study, from its first process to its last; the page learns how it ended."""
    is_finished = False
    try:
        result = run_study(
            space,
            words,
            folder,
            evaluator,
            page.view,
            interrupt,
            write_outputs,
            storage,
            fork_from,
            is_confirming=is_confirming,
        )
        is_finished = True
        return result
    except NothingFeasible:
        is_finished = True
        raise
    finally:
        evaluator.close()
        page.view.close()
        page.end(is_finished)


def _print(result: StudyResult, is_json: bool, is_quiet: bool) -> None:
    if is_json:
        print_json(front_summary(result).to_json())
    elif not is_quiet:
        print_front(console(), result, front_summary(result))
    if not is_quiet:
        note(f"{result.folder / 'report.html'}: the interactive front; beside it front.csv and trials.csv")
