"""`explore front`, `show` and `report`: what a study has found so far."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from explorer.commands.again import command_line
from explorer.commands.printing import console, note, print_json
from explorer.errors import Interrupted, NothingFeasible, UsageError
from explorer.space.limits import parse_constraint
from explorer.study.front import FrontSummary, front_summary
from explorer.study.interrupt import Interrupt
from explorer.study.locate import study_folder
from explorer.study.misses import empty_front_message
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.views.csv_text import front_csv
from explorer.views.report import write_report
from explorer.views.rows import trial_info
from explorer.views.tables import print_front
from explorer.views.trial_sheet import print_trial


def _result(study: str, studies: Path | None) -> StudyResult:
    result = load_result(study_folder(study, studies))
    gc.freeze()  # all of it is there until the command ends: searching thousands of trials for garbage finds none
    return result


def front(
    study: str,
    studies: Path | None,
    where: list[str],
    is_json: bool,
    is_csv: bool,
    allow_invalid: bool = False,
    is_search: bool = False,
) -> None:
    """Print the front, of confirmed values where there are any and `is_search` is False.

    With `allow_invalid` trials whose measurements cannot be believed may be on it, and it is the search's.
    Raises NothingFeasible when no trial satisfies the constraints, UsageError, StudyError.
    """
    if is_json and is_csv:
        raise UsageError("expected --json or --csv, got both: leave one out")
    limits = [parse_constraint(text) for text in where]
    result = _result(study, studies)
    summary = front_summary(result, limits, allow_invalid, is_search)
    if is_json:
        print_json(summary.to_json())
    elif is_csv:
        print(front_csv(result, summary), end="")
    elif summary.entries:
        print_front(console(), result, summary)
    note(which_values(summary))
    if not summary.entries:
        raise NothingFeasible(empty_front_message(result, summary))


def which_values(summary: FrontSummary) -> str:
    """Where the values of a front come from, in a sentence."""
    if summary.is_confirmed:
        return f"confirmed in {summary.n_rounds} rounds (medians over fresh processes); search values: --search"
    if summary.is_stale:
        return "the search's values: the confirmation is older than some trials; `explore confirm` confirms again"
    return "the search's values: each trial was measured once (`explore confirm` measures the finalists again)"


def show(study: str, number: int, studies: Path | None, is_json: bool) -> None:
    """Print one trial whole. Raises UsageError when there is no such trial, StudyError."""
    result = _result(study, studies)
    trial = result.trial(number)
    if trial is None:
        known = (
            f"it has trials {result.trials[0].number} to {result.trials[-1].number}" if result.trials else "it has none"
        )
        raise UsageError(f"no finished trial {number} in {result.name}: {known}")
    if is_json:
        print_json(trial_info(result, trial, front_summary(result)))
    else:
        print_trial(console(), result, trial)


def report(study: str, studies: Path | None, output: Path | None) -> None:
    """Write one self-contained HTML file. Raises UsageError where it cannot be written, StudyError, Interrupted."""
    result = _result(study, studies)
    target = output or result.folder / "report.html"
    if os.path.isdir(target):
        raise UsageError(
            f"expected a file to write, got the folder {target}: name a file in it, as in -o {target}/report.html"
        )
    try:
        with Interrupt() as interrupt:  # a signal that came at any moment would leave a draft beside the file
            write_report(result, target, interrupt.check)
    except Interrupted:
        again = command_line("report", study, options={"-o": output, "--studies": studies})
        raise Interrupted(f"interrupted; nothing half-written is left. To write it again: {again}") from None
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {target}: {error.strerror}; choose another place with -o"
        ) from error
    note(f"{target}")
