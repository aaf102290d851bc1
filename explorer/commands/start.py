"""`explore start` and `explore confirm`: run or resume a study, or measure its finalists again; show its front."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from explorer.commands.dashboard import StudyPage, open_page
from explorer.commands.options import ConfirmOptions, StartOptions
from explorer.commands.printing import console, note, print_json
from explorer.commands.read import which_values
from explorer.commands.repeat import repeat_command
from explorer.data.source import locate
from explorer.errors import DataNotAvailable, Interrupted, NothingFeasible, StudyIncompatible, UsageError
from explorer.models.registry import is_own, source_file
from explorer.space.read import load_space
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.front import front_view
from explorer.study.loop import StudyTools, confirm_study, run_study
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.study.store.location import studies_folder
from explorer.study.vocabulary import installed_part, vocabulary
from explorer.system.signals import Interrupt
from explorer.views.formatting import one_line
from explorer.views.outputs import write_outputs
from explorer.views.terminal.live import make_view
from explorer.views.terminal.tables import print_front


def start(options: StartOptions) -> None:
    """Run the study of `options.file` with `explorer.study.loop.run_study`, and print its front.

    At an interactive terminal the dashboard is served until Ctrl-C. Where the data are missing and cannot be
    downloaded, the study of `options.fallback` runs, if there is one. Raises UsageError for options that contradict
    each other, NotAvailable when the port is taken, Interrupted, and what `run_study` raises.
    """
    if options.fallback is None:
        _start(options)
        return
    overrides = options.overrides
    if overrides.name is not None or options.fork is not None:
        raise UsageError("--fallback is another study, of its own name: leave out --name and --fork, or --fallback")
    space, other = (load_space(file, vocabulary(), overrides) for file in (options.file, options.fallback))
    if space.name == other.name:
        raise UsageError(
            f"--fallback is another study, but {options.file} and {options.fallback} both have the name {space.name!r}"
            ": leave out --fallback, or give one of them another name"
        )
    try:
        locate(space.data, options.data)  # before anything is opened or made
        _start_or_suggest_fork(options)
    except DataNotAvailable as missing:
        note(f"{options.fallback} runs instead of {options.file}: {one_line(str(missing), limit=2000)}")
        _start_or_suggest_fork(replace(options, file=options.fallback, fallback=None), options.file)


def to_repeat(options: StartOptions, instead_of: Path | None = None, *added: str) -> str:
    """Return the command line that goes on with this study, with the words `added`.

    `instead_of` is the search space that the one of `options` replaced. A --fork stays: it adopts what the study does
    not have yet, so that forking again changes nothing.
    """
    fallback = {} if instead_of is None else {str(instead_of): str(options.file), "--fallback": None}
    return repeat_command({**fallback, **({"--fallback": None, "--fork": None} if added else {})}, added=added)


def _start_or_suggest_fork(options: StartOptions, instead_of: Path | None = None) -> None:
    """Call `_start`; append the command that forks to the error of an incompatible older study of that name."""
    try:
        _start(options, instead_of)
    except StudyIncompatible as changed:
        raise StudyIncompatible(f"{changed}: {to_repeat(options, instead_of, '--fork', 'NAME')}") from None


def _start(options: StartOptions, instead_of: Path | None = None) -> None:
    if options.port is not None and options.no_dashboard:
        raise UsageError("expected --port or --no-dashboard, got both: leave one out")
    words = vocabulary()
    space = load_space(options.file, words, options.overrides)
    root = studies_folder(options.studies)
    fork_from = None
    if options.fork is not None:
        fork_from = root / space.name
        space = load_space(options.file, words, replace(options.overrides, name=options.fork))
    folder = root / space.name
    space, left_out = installed_part(space, words) if options.skip_unavailable else (space, {})
    if not options.quiet:
        for name, why in left_out.items():
            note(f"left out: runtime {name} ({why})")
    say_own_code(space.model)
    view = make_view(space, sys.stderr, options.quiet)
    try:
        with Interrupt() as interrupt:
            say = note if options.quiet else view.on_note
            page = StudyPage(view)
            if options.is_served:
                page = open_page(space, folder, options.storage, options.port, view, say)
            try:
                evaluator = MeasuringEvaluator(space, folder, options.data, interrupt, left_out)
                tools = StudyTools(words, evaluator, page.view, interrupt, write_outputs, options.storage)
                run = partial(run_study, space, folder, tools, fork_from, not options.no_confirm)
                _print(_run_and_close(run, evaluator, page), options)
                page.serve_on(interrupt)
            except NothingFeasible as nothing:
                page.serve_on(interrupt, str(nothing))
                raise
            finally:
                page.close()
    except Interrupted as stopped:  # here, where no other signal can come between the sentence and its end
        kept = f"{stopped}; what was measured is in {folder}"
        raise Interrupted(f"{kept}. To go on: {to_repeat(options, instead_of)}") from None


def _run_and_close(run: Callable[[], StudyResult], evaluator: MeasuringEvaluator, page: StudyPage) -> StudyResult:
    """Run the study, close evaluator and view, and show on the page whether the study is finished."""
    is_finished = False
    try:
        result = run()
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
    if options.as_json:
        print_json(front_view(result).to_json())
    elif not options.quiet:
        print_front(console(), front_view(result))
    if not options.quiet:
        note(f"{result.folder / 'report.html'}: the interactive front; beside it front.csv and trials.csv")


def confirm(options: ConfirmOptions) -> None:
    """Run `explorer.study.loop.confirm_study` and print the front of confirmed values.

    Raises UsageError for a study of another model than `options.model`, and what `confirm_study` raises.
    """
    found = load_result(options.folder, None, options.storage)
    require_named(found.space.model, options.model, str(options.folder))
    say_own_code(found.space.model)
    view = make_view(found.space, sys.stderr, options.quiet)
    try:
        with Interrupt() as interrupt:
            evaluator = MeasuringEvaluator(found.space, found.folder, options.data, interrupt)
            try:
                tools = StudyTools(vocabulary(), evaluator, view, interrupt, write_outputs, options.storage)
                result = confirm_study(found, tools, options.rounds)
            finally:
                evaluator.close()
                view.close()
    except Interrupted as stopped:  # here, where no other signal can come between the sentence and its end
        finished = f"the rounds that were finished are in {found.folder}"
        raise Interrupted(f"{stopped}; {finished}. To go on: {repeat_command()}") from None
    if options.quiet and not options.as_json:
        return
    front = front_view(result)
    if options.as_json:
        print_json(front.to_json())
    else:
        print_front(console(), front)
    if not options.quiet:
        note(which_values(front))


def say_own_code(model: str) -> None:
    """Print one line on standard error if `model` is a user's own network, whose code runs next."""
    if is_own(model):
        note(f"this runs Python code that is not of this program: {one_line(model)}, from {_origin(model)}")


def require_named(model: str, named: str | None, study: str) -> None:
    """Raise UsageError unless `named` is `model`, or `model` is a family of this package and `named` is None.

    A study may come from an untrusted source, with a module in its folder: its code runs only with the user's consent.
    """
    if named == model or (named is None and not is_own(model)):
        return
    if named is not None:
        raise UsageError(f"--model: expected {one_line(model)!r}, the model of {study}, got {named!r}")
    raise UsageError(
        f"{study} is a study of {one_line(model)!r}, Python code that is not of this program (from {_origin(model)}), "
        f"and measuring again runs it: look at it, and allow that with --model {one_line(model)}"
    )


def _origin(model: str) -> str:
    path = source_file(model)
    return "a module that is not found here" if path is None else str(path)
