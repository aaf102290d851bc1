"""`explore confirm`: measure a study's finalists again, later or once more."""

from __future__ import annotations

import sys
from pathlib import Path

from explorer.commands.again import command_line
from explorer.commands.own_code import require_named, say_own_code
from explorer.commands.printing import console, note, print_json
from explorer.commands.read import which_values
from explorer.errors import Interrupted
from explorer.study.confirm_again import confirm_study
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.front import front_summary
from explorer.study.interrupt import Interrupt
from explorer.study.locate import study_folder
from explorer.study.place import shown_storage
from explorer.study.read import load_result
from explorer.study.vocabulary import vocabulary
from explorer.views.live import make_view
from explorer.views.outputs import write_outputs
from explorer.views.tables import print_front


def confirm(
    study: str,
    studies: Path | None,
    n_rounds: int | None,
    data: Path | None,
    storage: str | None,
    is_json: bool,
    is_quiet: bool,
    model: str | None = None,
) -> None:
    """Confirm as `explorer.study.confirm_again.confirm_study` does, and print the front of confirmed values.

    `model` names the network of the user's own whose code may run, if the study has one. Raises UsageError when there
    is no such study or it has another model, and what `confirm_study` raises.
    """
    found = load_result(study_folder(study, studies), None, storage)
    require_named(found.space.model, model, study)
    say_own_code(found.space.model)
    view = make_view(found.space, sys.stderr, is_quiet)
    try:
        with Interrupt() as interrupt:
            evaluator = MeasuringEvaluator(found.space, found.folder, data, interrupt)
            try:
                result = confirm_study(
                    found, vocabulary(), evaluator, view, interrupt, write_outputs, n_rounds, storage_url=storage
                )
            finally:
                evaluator.close()
                view.close()
    except Interrupted as stopped:  # here, where no other signal can come between the sentence and its end
        options = {
            "--rounds": n_rounds,
            "--data": data,
            "--studies": studies,
            "--storage": None if storage is None else shown_storage(storage),
            "--model": model,
        }
        again = command_line("confirm", study, options=options)
        raise Interrupted(
            f"{stopped}; the rounds that were finished are in {found.folder}. To go on: {again}"
        ) from None
    summary = front_summary(result)
    if is_json:
        print_json(summary.to_json())
    elif not is_quiet:
        print_front(console(), result, summary)
    if not is_quiet:
        note(which_values(summary))
