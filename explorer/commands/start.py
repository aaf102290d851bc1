"""`explore start`: run or resume a study with its dashboard, then show its front."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.commands.again import command_line
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


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What the command line says of a start: `port` None is any free one, `data`, `studies` and `storage` None the
    usual places; `fork` is the new study's name; `is_skipping` leaves out the runtimes that are not installed.
    """

    file: Path
    overrides: Overrides
    data: Path | None = None
    studies: Path | None = None
    storage: str | None = None
    fork: str | None = None
    port: int | None = None
    has_dashboard: bool = True
    is_json: bool = False
    is_quiet: bool = False
    is_confirming: bool = True
    is_skipping: bool = False

    @property
    def is_served(self) -> bool:
        """Without its link nobody could open a dashboard, and --quiet prints none unless a port is asked for."""
        return self.has_dashboard and (not self.is_quiet or self.port is not None)

    def to_go_on(self) -> str:
        """What starts the same study again, as a shell reads it; it goes on with a fork rather than fork again."""
        options = {
            "--name": self.fork or self.overrides.name,
            "--trials": self.overrides.n_trials,
            "--timeout": None if self.overrides.timeout_s is None else f"{self.overrides.timeout_s:g}",
            "--sampler": self.overrides.sampler,
            "--seed": self.overrides.seed,
            "--data": self.data,
            "--studies": self.studies,
            "--storage": None if self.storage is None else shown_storage(self.storage),
            "--no-confirm": not self.is_confirming,
            "--skip-unavailable": self.is_skipping,
        }
        return command_line("start", self.file, options=options)


def start(options: StartOptions) -> None:
    """Run the study that `options.file` describes, as `explorer.study.loop.run_study` does, and print its front.

    At a terminal the dashboard is served on until Ctrl-C. Raises NotAvailable when the port is taken.
    """
    if options.port is not None and not options.has_dashboard:
        raise UsageError("expected --port or --no-dashboard, got both: leave one out")
    words = vocabulary()
    space = load_space(options.file, words, options.overrides)
    root = studies_folder(options.studies)
    fork_from = None
    if options.fork is not None:
        fork_from = root / space.name
        space = load_space(options.file, words, replace(options.overrides, name=options.fork))
    folder = root / space.name
    space, left_out = installed_part(space, words) if options.is_skipping else (space, {})
    if not options.is_quiet:
        for name, why in left_out.items():
            note(f"left out: runtime {name} ({why})")
    say_own_code(space.model)
    view = make_view(space, sys.stderr, options.is_quiet)
    try:
        with Interrupt() as interrupt:
            say = note if options.is_quiet else view.on_note
            is_served = options.is_served
            page = open_page(space, folder, options.storage, options.port, view, say) if is_served else no_page(view)
            try:
                evaluator = MeasuringEvaluator(space, folder, options.data, interrupt, left_out)
                result = _run(options, space, words, folder, evaluator, page, interrupt, fork_from)
                _print(result, options)
                page.serve_on(interrupt)
            except NothingFeasible as nothing:
                page.serve_on(interrupt, str(nothing))
                raise
            finally:
                page.close()
    except Interrupted as stopped:  # here, where no other signal can come between the sentence and its end
        kept = f"{stopped}; what was measured is in {folder}"
        raise Interrupted(f"{kept}. To go on: {options.to_go_on()}") from None


def _run(
    options: StartOptions,
    space: SearchSpace,
    words: Vocabulary,
    folder: Path,
    evaluator: MeasuringEvaluator,
    page: StudyPage,
    interrupt: Interrupt,
    fork_from: Path | None,
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
            options.storage,
            fork_from,
            is_confirming=options.is_confirming,
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


def _print(result: StudyResult, options: StartOptions) -> None:
    if options.is_json:
        print_json(front_summary(result).to_json())
    elif not options.is_quiet:
        print_front(console(), result, front_summary(result))
    if not options.is_quiet:
        note(f"{result.folder / 'report.html'}: the interactive front; beside it front.csv and trials.csv")
