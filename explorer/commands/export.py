"""`explore export`: the chosen variant leaves, as the very files that were measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from explorer.commands.again import command_line
from explorer.commands.printing import console, note, print_json
from explorer.data.dataset import Dataset
from explorer.deploy.bundle import write_bundle
from explorer.deploy.choice import Choice, Wish, choose
from explorer.deploy.facts import Departure, artifact_of, departure, require_known
from explorer.deploy.held_out import accuracy_on_test, data_at_hand, ensure_sample_images
from explorer.deploy.target import check_target, target_folder
from explorer.errors import Interrupted, UsageError
from explorer.records import Measurement
from explorer.runtimes.artifact import Artifact
from explorer.space.limits import parse_constraint
from explorer.study.interrupt import Interrupt
from explorer.study.locate import study_folder
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.views.choosing import print_choice
from explorer.views.front_svg import front_svg
from explorer.views.model_card import model_card

Writer = Callable[[Path, Departure, str, str], None]


def _bundle(folder: Path, leaving: Departure, card: str, picture: str) -> None:
    write_bundle(folder, leaving, card, picture)


def _onnx(folder: Path, leaving: Departure, card: str, picture: str) -> None:
    from explorer.deploy.onnx_file import write_onnx

    write_onnx(folder, leaving.artifact, leaving.manifest)


def _triton(folder: Path, leaving: Departure, card: str, picture: str) -> None:
    from explorer.deploy.triton import write_triton

    write_triton(folder, leaving.artifact, leaving.manifest)


def _mlflow(folder: Path, leaving: Departure, card: str, picture: str) -> None:
    from explorer.deploy.mlflow_model import write_mlflow

    write_mlflow(folder, leaving.artifact, leaving.manifest, leaving.samples)


FORMATS: dict[str, Writer] = {"bundle": _bundle, "onnx": _onnx, "triton": _triton, "mlflow": _mlflow}


def export(
    study: str,
    studies: Path | None,
    trial: int | None,
    is_knee: bool,
    best: str | None,
    where: list[str],
    output: Path | None,
    form: str,
    data: Path | None,
    is_forced: bool,
    is_json: bool,
) -> None:
    """Write the chosen trial to a folder, whole or not at all.

    Raises UsageError, NothingFeasible, StudyError, RuntimeNotAvailable, Interrupted.
    """
    if form not in FORMATS:
        raise UsageError(f"--format: expected one of {', '.join(FORMATS)}, got {form!r}")
    wish = Wish(trial, is_knee, best, tuple(parse_constraint(text) for text in where))
    result = load_result(study_folder(study, studies))
    choice = choose(result, wish, is_forced)
    require_known(result, choice.trial)
    target = output or _default_target(result, choice, form)
    check_target(target, is_forced)
    if not is_json:
        neighbors = [(neighbor.trial, neighbor.differences) for neighbor in choice.neighbors]
        print_choice(console(is_patient=True), result, choice.trial, choice.how, choice.objections, neighbors)
    try:
        with Interrupt() as interrupt:
            artifact = artifact_of(result, choice.trial)
            dataset = data_at_hand(result.space.data, result.provenance["identity"]["data"]["fingerprint"], data)
            on_test = _accuracy_on_test(choice, artifact, dataset, interrupt)
            ensure_sample_images(result, dataset)
            leaving = departure(result, choice, artifact, on_test)
            with target_folder(target) as draft:
                picture = front_svg(result, choice.trial.number)
                FORMATS[form](draft, leaving, _card(result, choice, leaving, on_test), picture)
                interrupt.check()
    except Interrupted:  # here, where no other signal can come between the sentence and its end
        given = {"--trial": trial, "--knee": is_knee, "--best": best, "--where": where, "-o": output, "--format": form,
                 "--data": data, "--studies": studies, "--force": is_forced}  # fmt: skip
        again = command_line("export", study, options=given)
        raise Interrupted(f"interrupted; nothing half-written is left. To export again: {again}") from None
    if on_test.value is None:
        note(f"the accuracy on the test split is not known: {on_test.why}")
    if is_json:
        print_json(_facts(target, form, choice, on_test))
    else:
        console().print(_done(target, form, on_test))


def _accuracy_on_test(choice: Choice, artifact: Artifact, dataset: Dataset | str, interrupt: Interrupt) -> Measurement:
    """What the confirmation found, which looked at the test split once; else what the data at hand give."""
    known = None if choice.confirmed is None else choice.confirmed.test_accuracy
    if known is not None and known.value is not None:
        return known
    return accuracy_on_test(artifact, choice.trial.variant, dataset, interrupt)


def _default_target(result: StudyResult, choice: Choice, form: str) -> Path:
    return Path(f"{result.name}-trial-{choice.trial.number}{'' if form == 'bundle' else f'-{form}'}")


def _card(result: StudyResult, choice: Choice, leaving: Departure, on_test: Measurement) -> str:
    return model_card(result, choice.trial, leaving.manifest.name, choice.how, choice.objections, on_test)


def _done(target: Path, form: str, on_test: Measurement) -> str:
    known = "" if on_test.value is None else f"accuracy on the test split, which chose nothing: {on_test.value:.2%}\n"
    then = {
        "bundle": f"python {target}/run.py IMAGE...   classifies;   explore verify {target}   proves it",
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
