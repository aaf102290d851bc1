"""`explore train`: train the base network of a search space, unless its weights are cached."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.commands.printing import console, print_json
from explorer.commands.repeat import repeat_command
from explorer.errors import Interrupted, UsageError
from explorer.space.read import Overrides, load_space
from explorer.space.values import SearchSpace
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.vocabulary import vocabulary
from explorer.system.signals import Interrupt
from explorer.views.terminal.live import make_view


def train(file: Path, recipe: str | None, data: Path | None, is_json: bool, is_quiet: bool) -> None:
    """Train, or load cached weights, and print the card. Raise ExplorerError; Interrupted leaves a checkpoint."""
    words = vocabulary()
    space = load_space(file, words, Overrides())
    if ":" in space.model:
        raise UsageError(f"{space.model} is your own network and comes trained from its function: nothing to train")
    recipes = words.families[space.model].recipes
    if recipe is not None and recipe not in recipes:
        raise UsageError(f"--recipe: expected one of {', '.join(recipes)}, got {recipe!r}")
    space = replace(space, recipe=recipe or space.recipe)
    view = make_view(space, sys.stderr, is_quiet)
    try:
        with Interrupt() as interrupt:
            evaluator = MeasuringEvaluator(space, Path(), data, interrupt)
            try:
                prepared = evaluator.prepare(view.on_progress)
            finally:
                evaluator.close()
                view.close()
    except Interrupted:  # here, where no other signal can come between the sentence and its end
        raise Interrupted(f"interrupted; a checkpoint is kept. To go on: {repeat_command()}") from None
    weights = prepared.provenance["weights"]
    if is_json:
        print_json(weights)
    elif not is_quiet:
        _print(weights["card"], weights["fingerprint"])
        console().print(_how_to_go_on(space, file, recipe, weights["card"]))


def _how_to_go_on(space: SearchSpace, file: Path, recipe: str | None, card: Mapping[str, Any]) -> str:
    if space.is_shipped:
        again = f"explore train {file} --recipe {card['recipe']['name']}"
        return f"shipped with the package; to repeat their training: {again}"
    if recipe is not None:
        return f"a study uses these weights when its search space says  training: {{recipe: {recipe}}}"
    return f"a study uses these weights: explore start {file}"


def _print(card: dict[str, Any], fingerprint: str) -> None:
    out = console()
    out.print(f"{card['family']}, recipe {card['recipe']['name']}, weights {fingerprint[:12]}")
    out.print(f"trained in {card['seconds']:.0f} s on {card['device']}, {card['precision']}, {card['threads']} threads")
    out.print("width   validation accuracy of each exit, the final one last")
    for width, accuracies in card["validation_accuracy"].items():
        out.print(f"{width:<7} " + "  ".join(f"{100 * accuracy:5.1f} %" for accuracy in accuracies))
