"""The model card of a bundle: what it is, how it was chosen, what was measured, how to run it."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.objectives import METRICS
from explorer.records import Measurement, TrialOutcome
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.shown import Shown, Standing, shown_study
from explorer.views.wording import (
    Glyphs,
    interval_text,
    metric_title,
    one_line,
    share_text,
    value_text,
    variant_text,
)

_CARD = """\
# {name}

An image classifier of {n_classes} classes ({classes}), exported from the study **{study}**. It was chosen as {how}.
{objections}
![the front of the study, and this variant on it](front.svg)

## What was measured

On {device}, {runtime}, {threads}, on {n_validation} validation images of {data}. These files themselves
were measured, in {processes}; the SHA-256 of each is in `manifest.json`.
{confirmation}
| metric | value | 95 % interval |
|---|---:|---|
{metrics}

Accuracy on the {n_test} test images, which chose nothing: {test}.

## The variant

`{variant}`. {exits}

## Run it

    pip install -r requirements.txt
    python run.py IMAGE...          # image files or folders; --json for a JSON object a line

From Python, in this folder:

    from run import Classifier
    logits, exits = Classifier().classify(images)   # uint8 [n, {channels}, {height}, {width}]

(Python then leaves a folder `__pycache__` here, which `explore verify` calls surplus: delete it before.)

In a container: `docker build -t {tag} .`, then `docker run --rm -v "$PWD/images:/images:ro" {tag} /images`.
`run.py` needs the packages of `requirements.txt`, and not the package that made this bundle; with that one,
`explore verify .` proves the bundle, and `explore serve .` serves it over HTTP.

Its files can be trusted as far as the one who gave them to you: whoever can change a file can change its SHA-256 in the
manifest as well.
"""


def model_card(
    result: StudyResult,
    trial: TrialRecord,
    name: str,
    how: str,
    objections: tuple[str, ...],
    test_accuracy: Measurement,
) -> str:
    """README.md of a bundle, as Markdown; of a confirmed trial it has the confirmed values. `trial` is the search's."""
    shown = shown_study(result)
    is_confirmed = trial.number in shown.confirmed
    metrics = _confirmed(shown, trial).outcome.metrics if is_confirmed else trial.outcome.metrics
    data = result.provenance["identity"]["data"]
    classes = [one_line(text) for text in result.provenance["class_names"]]
    channels, height, width = data["image_shape"]
    variant = trial.variant
    return _CARD.format(
        name=name,
        n_classes=len(classes),
        classes=", ".join(classes[:12]) + (", …" if len(classes) > 12 else ""),
        study=one_line(result.name),
        how=how,
        objections="".join(f"\n**It {objection}.**\n" for objection in objections),
        device=result.provenance["processor"]["name"],
        runtime=variant.runtime,
        threads=f"{variant.threads} thread{'s' if variant.threads > 1 else ''}, batch {variant.batch_size}",
        n_validation=f"{result.space.data.validation:,}",
        data=f"{data['name']} ({data['kind']})",
        processes=f"a fresh process in each of {shown.n_rounds} rounds" if is_confirmed else "a fresh process",
        confirmation=_confirmation(shown, trial.number),
        metrics=_rows(metrics),
        n_test=f"{data['n_test']:,}",
        test=_measured("accuracy", test_accuracy),
        variant=variant_text(variant, tuple(variant.to_json()), Glyphs(dot=", ")),
        exits=_exits(trial.outcome),
        channels=channels,
        height=height,
        width=width,
        tag=name.lower(),
    )


def _confirmed(shown: Shown, trial: TrialRecord) -> TrialRecord:
    found = shown.result.trial(trial.number)
    assert found is not None
    return found


def _confirmation(shown: Shown, number: int) -> str:
    """Whether the values are confirmed; nothing for a study that is not."""
    if not shown.is_confirmed:
        return "\nThe values are those of the search, which measured each variant once: they are not confirmed.\n"
    standing = shown.standings.get(number, Standing(why="it is no finalist of the search"))
    if number not in shown.confirmed:
        return f"\n**These values are not confirmed: {one_line(standing.why, 400)}.** They are those of the search.\n"
    sentences = [f"The values are confirmed: medians over {shown.n_rounds} rounds, interleaved with other variants."]
    if standing.why:
        sentences.append(f"**{one_line(standing.why, 400)[:1].upper()}{one_line(standing.why, 400)[1:]}.**")
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


def _exits(outcome: TrialOutcome) -> str:
    """How many images leave where; nothing for a network with one exit."""
    shares = outcome.details["exit_shares"]
    if len(shares) == 1:
        return ""
    places = [*(f"exit {i}" for i in range(1, len(shares))), "the final head"]
    parts = [f"{share:.0%} at {place}" for share, place in zip(shares, places, strict=True)]
    return f"Of the validation images leave: {', '.join(parts)}."
