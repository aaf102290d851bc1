"""The model card of a bundle, and the selected trial as lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Console
from rich.text import Text

from explorer.metrics import METRICS
from explorer.records import Measurement, TrialOutcome
from explorer.runtimes.int8_range import FULL, REDUCED
from explorer.study.baseline import baseline_sentence, input_text, warnings
from explorer.study.front import FrontView, Standing
from explorer.study.result import StudyResult, TrialRecord
from explorer.tasks.task import TensorSpec
from explorer.views.formatting import (
    MAX_SENTENCE,
    Glyphs,
    glyphs_for,
    interval_text,
    metric_title,
    one_line,
    scale_of,
    share_text,
    value_text,
    variant_text,
    varying_parameters,
)
from explorer.views.front_svg import front_svg
from explorer.views.trial import paths_of


class Chosen(Protocol):
    """A chosen trial as the search measured it: how it was chosen, what speaks against it, and the study's front."""

    @property
    def trial(self) -> TrialRecord:
        """The trial."""

    @property
    def how(self) -> str:
        """How it was chosen, in words."""

    @property
    def objections(self) -> Sequence[str]:
        """The reasons against it, each a predicate."""

    @property
    def front(self) -> FrontView:
        """The study's front, within its own constraints."""


def print_choice(console: Console, chosen: Chosen, neighbors: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Print the chosen trial with confirmed values where there are any.

    `neighbors` are (trial, differences): by objective, the neighbor's value minus that of the chosen trial.
    """
    trial, front, glyphs = chosen.trial, chosen.front, glyphs_for(console.encoding)
    result = front.searched
    console.print(Text(f"Trial {trial.number} of {one_line(result.name)}: {chosen.how}", style="bold"))
    for objection in chosen.objections:
        console.print(Text(f"  it {objection}", style="yellow"))
    console.print(f"  {variant_text(trial.variant, varying_parameters(result.space), glyphs)}")
    found = front.result.trial(trial.number)
    values = trial.values() if found is None else found.values()
    names = [o.metric for o in result.objectives if o.metric in values]
    console.print(f"  {glyphs.dot.join(f'{metric_title(name)} {value_text(name, values[name])}' for name in names)}")
    if trial.number in front.confirmed:
        console.print(Text(f"  confirmed in {front.n_rounds} rounds", style="dim"))
    for number, differences in neighbors:
        console.print(Text(f"  {neighbor_text(number, differences)}", style="dim"))


def neighbor_text(number: int, differences: Mapping[str, float]) -> str:
    """Return `trial 12 instead: 0.80 points more accuracy, 0.11 ms more latency`."""
    parts = [f"{_amount(name, difference)} {metric_title(name)}" for name, difference in differences.items()]
    return f"trial {number} instead: {', '.join(parts)}"


def _amount(name: str, difference: float) -> str:
    if difference == 0:
        return "the same"
    word = "more" if difference > 0 else "less"
    if scale_of(name) != 1.0:
        return f"{abs(difference) * scale_of(name):.2f} points {word}"
    return f"{value_text(name, abs(difference))} {word}"


def export_documents(chosen: Chosen, name: str, on_test: Measurement) -> tuple[str, str]:
    """Return the model card (Markdown) and the picture of the front (SVG) of an exported trial."""
    return model_card(chosen, name, on_test), front_svg(chosen.front, chosen.trial.number)


_CARD = """\
# {name}

{description}, exported from the study **{study}**. It was chosen as {how}.
{objections}
![the front of the study, and this variant on it](front.svg)

## What was measured

On {device}, {runtime}, {threads}, on {n_validation} validation {nouns} of {data}. These files themselves
were measured, in {processes}; the SHA-256 of each is in `manifest.json`.
{confirmation}
| metric | value | 95 % interval |
|---|---:|---|
{metrics}

{guessing}{quality} on the {n_test} test {nouns}, which chose nothing: {test}.

## The variant

`{variant}`. {paths}{int8}
{pixels}
## Run it

    pip install -r requirements.txt
    python run.py {file}...          # files of {nouns}, or folders; --json for a JSON object a line

From Python, in this folder:

    from run import {task.class_name}
    {task.output_name}, exits = {task.class_name}().run({task.input_name})   # {dtype} [n, {shape}]

(Python then leaves a folder `__pycache__` here, which `explore verify` names and does not read.)

In a container: `docker build -t {tag} .`, then `docker run --rm -v "$PWD/{nouns}:/{nouns}:ro" {tag} /{nouns}`.
`run.py` needs the packages of `requirements.txt`, and not the package that made this bundle; with that one,
`explore verify .` proves the bundle, and `explore serve .` serves it over HTTP.

These numbers, and the files, are the word of whoever gave them to you until they are verified: whoever can change a
file can change its SHA-256 in the manifest as well, and the numbers with it. `explore verify` says which of them it
recomputed, and which stay the sender's word.
"""

_INT8: dict[str, str] = {
    FULL: """

Its int8 weights are of full range (8 bits), for processors with int8 dot products (VNNI, AMX, ARM's dot product). On
others products may saturate and accuracy may be lower: run the study there and export again, in reduced range.""",
    REDUCED: """

Its int8 weights are of reduced range (7 bits), because the processor that it was measured on has no int8 dot products.
It is right on any processor; with int8 dot products, full range would be possible.""",
}


def model_card(chosen: Chosen, name: str, on_test: Measurement) -> str:
    """Return README.md of a bundle, with confirmed values if there are any."""
    trial, front, result = chosen.trial, chosen.front, chosen.front.searched
    quality = result.task.main_metric
    found = front.result.trial(trial.number)
    assert found is not None
    data = result.provenance["identity"]["data"]
    task, spec = result.task, TensorSpec.from_json(data["input"])
    variant = trial.variant
    return _CARD.format(
        name=name,
        description=one_line(task.description(result.task_facts), 400),
        task=task,
        nouns=task.noun[1],
        file=task.noun[0].upper(),
        study=one_line(result.name),
        how=chosen.how,
        objections="".join(f"\n**It {objection}.**\n" for objection in chosen.objections),
        device=result.provenance["processor"]["name"],
        runtime=variant["runtime"],
        threads=f"{variant['threads']} thread{'s' if variant['threads'] > 1 else ''}, batch {variant['batch_size']}",
        n_validation=f"{result.space.data.validation:,}",
        data=f"{data['name']} ({data['kind']})",
        processes=f"a fresh process in each of {front.n_rounds} rounds"
        if trial.number in front.confirmed
        else "a fresh process",
        confirmation=_confirmation(front, trial.number),
        metrics=_rows(found.outcome.metrics),
        n_test=f"{data['n_test']:,}",
        quality=quality.title.capitalize(),
        test=_measured(quality.name, on_test),
        variant=variant_text(variant, tuple(variant.to_json()), Glyphs(dot=", ")),
        paths=_paths(trial.outcome, task.noun[1]),
        int8=_int8(trial.outcome),
        guessing=_guessing(result),
        pixels=_pixels(result),
        dtype=spec.dtype,
        shape=", ".join(map(str, spec.shape)),
        tag=name.lower(),
    )


def _confirmation(front: FrontView, number: int) -> str:
    """State whether the values are confirmed."""
    if not front.is_confirmed:
        return "\nThe values are those of the search, which measured each variant once: they are not confirmed.\n"
    standing = front.standings.get(number, Standing(why="it is no finalist of the search"))
    why = one_line(standing.why, 400)
    if number not in front.confirmed:
        return f"\n**These values are not confirmed: {why}.** They are those of the search.\n"
    sentences = [f"The values are confirmed: medians over {front.n_rounds} rounds, interleaved with other variants."]
    if why:
        sentences.append(f"**{why[:1].upper()}{why[1:]}.**")
    if standing.probability is not None:
        sentences.append(f"The probability that it is on the front is {share_text(standing.probability)}.")
    if standing.ties:
        sentences.append(f"It could not be told in any objective from trial {', '.join(map(str, standing.ties))}.")
    return f"\n{' '.join(sentences)}\n"


def _rows(metrics: Mapping[str, Measurement]) -> str:
    known = [name for name in (*METRICS, *metrics) if name in metrics and metrics[name].value is not None]
    rows = []
    for name in dict.fromkeys(known):
        value, interval = metrics[name].value, interval_text(name, metrics[name], Glyphs())
        assert value is not None
        rows.append(f"| {metric_title(name)} | {value_text(name, value)} | {interval} |")
    return "\n".join(rows)


def _measured(name: str, measurement: Measurement) -> str:
    if measurement.value is None:
        return f"not known ({measurement.why})"
    return f"{value_text(name, measurement.value)} (95 % interval {interval_text(name, measurement, Glyphs())})"


def _guessing(result: StudyResult) -> str:
    said = [text for text in (baseline_sentence(result), *warnings(result)) if text]
    return "".join(f"{one_line(text, MAX_SENTENCE)}.\n\n" for text in said)


def _pixels(result: StudyResult) -> str:
    """Describe the inputs and the normalization inside the model; empty where the study does not have them."""
    known = result.provenance.get("input")
    if known is None:
        return ""
    shape = result.provenance["identity"]["data"]["input"]["shape"]
    return (
        f"\nIt takes raw {result.task.noun[1]}: {one_line(input_text(shape, known['stated']), 400)}. "
        f"The model itself does that: (pixel / 255 - mean) / std, with mean {known['mean']} and std {known['std']}.\n"
    )


def _int8(outcome: TrialOutcome) -> str:
    """State the range of int8 weights; empty where it does not matter."""
    build = None if outcome.observation is None else outcome.observation.build
    return "" if build is None else _INT8.get(str(build.int8_range), "")


def _paths(outcome: TrialOutcome, nouns: str) -> str:
    """State the share of examples at each exit; empty for a network with one exit."""
    paths = {} if outcome.observation is None else paths_of(outcome.observation)
    if len(paths) < 2:
        return ""
    parts = [f"{one.share:.0%} at {title}" for title, one in paths.items()]
    return f"Of the validation {nouns} leave: {', '.join(parts)}."
