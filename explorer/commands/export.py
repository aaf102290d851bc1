"""`explore export`: write the selected variant as a bundle of the files that were measured."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from explorer.commands.options import ExportOptions
from explorer.commands.printing import console, note, print_json
from explorer.commands.repeat import repeat_command
from explorer.deploy.export.formats import Target, check_export, check_format, write_export
from explorer.deploy.selection import Choice, choose
from explorer.errors import Interrupted
from explorer.records import Measurement
from explorer.study.read import load_result
from explorer.system.signals import Interrupt
from explorer.tasks.task import Task
from explorer.views.formatting import value_text
from explorer.views.model_card import export_documents, print_choice


def export(options: ExportOptions) -> None:
    """Write the selected trial of a study to a new folder, atomically.

    Raises UsageError, NothingFeasible, StudyError, RuntimeNotAvailable, Interrupted.
    """
    form, selection = options.form, options.selection
    check_format(form)
    result = load_result(options.folder)
    choice = choose(result, selection, options.force)
    suffix = "" if form == "bundle" else f"-{form}"
    path = options.output or Path(f"{result.name}-trial-{choice.trial.number}{suffix}")
    target = Target(path, form, options.force)
    check_export(result, choice, target)
    try:
        with Interrupt() as interrupt:
            if not options.as_json:
                neighbors = [(one.trial, one.differences) for one in choice.neighbors]
                print_choice(console(is_patient=True), choice, neighbors)
            documents = partial(export_documents, choice)
            on_test = write_export(result, choice, target, options.data, documents, interrupt)
    except Interrupted:  # here, where no other signal can come between the sentence and its end
        raise Interrupted(f"interrupted; nothing half-written is left. To export again: {repeat_command()}") from None
    if on_test.value is None:
        note(f"the {result.task.main_metric.title} on the test split is not known: {on_test.why}")
    if options.as_json:
        print_json(_facts(path, form, choice, on_test))
    else:
        console().print(_done(path, form, result.task, on_test))


def _done(target: Path, form: str, task: Task, on_test: Measurement) -> str:
    quality, known = task.main_metric, ""
    if on_test.value is not None:
        found = value_text(quality.name, on_test.value)
        known = f"{quality.title} on the test split, which chose nothing: {found}\n"
    then = {
        "bundle": f"python {target}/run.py {task.noun[0].upper()}...   runs it;   explore verify {target}   proves it",
        "onnx": f"{target}/model.onnx",
        "triton": f"tritonserver --model-repository {target}",
        "mlflow": f"mlflow.onnx.load_model({str(target)!r})",
    }
    return f"{known}{form} in {target}\n{then[form]}"


def _facts(target: Path, form: str, choice: Choice, on_test: Measurement) -> dict[str, Any]:
    return {
        "folder": str(target),
        "format": form,
        "trial": choice.trial.number,
        "how": choice.how,
        "objections": list(choice.objections),
        "variant": choice.trial.variant.to_json(),
        "metrics": {name: measurement.to_json() for name, measurement in choice.trial.outcome.metrics.items()},
        "confirmed": None
        if choice.confirmed is None
        else {
            "rounds": choice.confirmed.n_rounds,
            "metrics": {name: measurement.to_json() for name, measurement in choice.confirmed.metrics.items()},
            "probability": choice.confirmed.probability,
            "ties": list(choice.confirmed.ties),
        },
        "test_accuracy": on_test.to_json(),
        "neighbors": [{"trial": n.trial, "differences": dict(n.differences)} for n in choice.neighbors],
    }
