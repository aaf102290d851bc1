"""`explore front`, `show` and `report`: the results of a study so far."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from explorer.commands.options import FrontOptions
from explorer.commands.printing import console, note, print_json
from explorer.commands.repeat import repeat_command
from explorer.errors import Interrupted, NothingFeasible, UsageError
from explorer.space.expressions import parse_constraint
from explorer.study.front import FrontView, front_view
from explorer.study.infeasibility import empty_front_message
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.system.signals import Interrupt
from explorer.views.outputs import front_csv, write_report
from explorer.views.terminal.tables import print_front
from explorer.views.terminal.trial_sheet import print_trial
from explorer.views.trial import trial_info


def _result(folder: Path) -> StudyResult:
    result = load_result(folder)
    gc.freeze()  # the result lives until the command ends: collections need not visit its thousands of trials
    return result


def front(options: FrontOptions) -> None:
    """Print the front of a study: of confirmed values if there are any, unless the search's are asked for.

    Raises NothingFeasible when no trial satisfies the constraints, UsageError, StudyError.
    """
    if options.as_json and options.as_csv:
        raise UsageError("expected --json or --csv, got both: leave one out")
    limits = [parse_constraint(text) for text in options.where or []]
    result = _result(options.folder)
    found = front_view(result, limits, options.allow_invalid, options.search)
    if options.as_json:
        print_json(found.to_json())
    elif options.as_csv:
        print(front_csv(found), end="")
    elif found.entries:
        print_front(console(), found)
    note(which_values(found))
    if not found.entries:
        raise NothingFeasible(empty_front_message(result, found))


def which_values(front: FrontView) -> str:
    """Return a sentence that states where the values of a front come from."""
    if front.is_confirmed:
        return f"confirmed in {front.n_rounds} rounds (medians over fresh processes); search values: --search"
    if front.is_stale:
        return "the search's values: the confirmation is older than some trials; `explore confirm` confirms again"
    return "the search's values: each trial was measured once (`explore confirm` measures the finalists again)"


def show(folder: Path, number: int, is_json: bool) -> None:
    """Print everything about one trial. Raise UsageError when there is no such trial, StudyError."""
    result = _result(folder)
    trial = result.trial(number)
    if trial is None:
        known = (
            f"it has trials {result.trials[0].number} to {result.trials[-1].number}" if result.trials else "it has none"
        )
        raise UsageError(f"no finished trial {number} in {result.name}: {known}")
    if is_json:
        print_json(trial_info(front_view(result), trial))
    else:
        print_trial(console(), front_view(result), trial)


def report(folder: Path, output: Path | None) -> None:
    """Write one self-contained HTML file. Raise UsageError where it cannot be written, StudyError, Interrupted."""
    result = _result(folder)
    target = output or result.folder / "report.html"
    if os.path.isdir(target):
        raise UsageError(
            f"expected a file to write, got the folder {target}: name a file in it, as in -o {target}/report.html"
        )
    try:
        with Interrupt() as interrupt:  # a signal that came at any moment would leave a draft beside the file
            write_report(front_view(result), target, interrupt.check)
    except Interrupted:
        raise Interrupted(f"interrupted; nothing half-written is left. To write it again: {repeat_command()}") from None
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {target}: {error.strerror}; choose another place with -o"
        ) from error
    note(f"{target}")
