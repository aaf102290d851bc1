"""Facts of a manifest other than its metrics: consistency with each other and the samples, and their rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from explorer.deploy.manifest import MANIFEST, Manifest
from explorer.deploy.verify.bundle import Bundle
from explorer.deploy.verify.report import Row, unchecked
from explorer.deploy.verify.samples import SampleArrays, sample_outputs
from explorer.measure.metrics import Prices
from explorer.metrics import Constraint
from explorer.parameters import PARAMETERS
from explorer.records import Variant

DATA, EXIT_SHARES, INPUT, TOLERANCE = "data", "exit shares", "input", "tolerance"
CHOICE, MEMBERSHIP, PROVENANCE = "choice", "membership of the front", "provenance"

Fault = tuple[str, str]
"""Row name, and the reason why it fails, in a sentence."""


def contradicted_facts(bundle: Bundle, samples: SampleArrays) -> Iterator[Fault]:
    """Yield every fact that cannot be true."""
    manifest = bundle.manifest
    for what, why in (
        (TOLERANCE, _tolerance(bundle)),
        (INPUT, _input(bundle)),
        (EXIT_SHARES, _exit_shares(bundle, samples)),
        (DATA, _data(bundle)),
        (CHOICE, _choice(manifest)),
        (MEMBERSHIP, _membership(manifest)),
        (PROVENANCE, _provenance(manifest)),
    ):
        if why:
            yield what, why


def fact_texts(bundle: Bundle) -> dict[str, str]:
    """Return the stated facts that are checked, in words, by row name."""
    manifest = bundle.manifest
    shown, data = manifest.input, manifest.provenance.data
    meaning = ", ".join(map(str, manifest.input_facts.values()))[:80]
    return {
        TOLERANCE: f"{manifest.samples.tolerance:g}",
        INPUT: f"{shown.dtype} {list(shown.shape)}, {meaning}; {manifest.output.name}",
        DATA: data_text(data.name, (data.n_training, data.n_validation, data.n_test)),
        **{name: text_of(value) for name, value in bundle.facts.items()},
        sample_inputs(bundle): f"the first {manifest.samples.n} validation {bundle.task.noun[1]}",
        EXIT_SHARES: shares_text(manifest.exit_shares),
    }


def sample_inputs(bundle: Bundle) -> str:
    """Return the row name of the samples."""
    return f"sample {bundle.task.noun[1]}"


def data_text(name: str, counts: tuple[int, int, int]) -> str:
    """Return a data set's name and its numbers of training, validation and test examples."""
    return f"{name}: {counts[0]:,} training, {counts[1]:,} validation, {counts[2]:,} test"


def text_of(fact: object) -> str:
    """Return a fact of a task in words; of a list its length and its first elements."""
    if isinstance(fact, str) or not isinstance(fact, Sequence):
        return str(fact)[:200]
    return f"{len(fact)}: {', '.join(str(one)[:40] for one in fact[:12])}{', ...' if len(fact) > 12 else ''}"


def shares_text(shares: Iterable[float]) -> str:
    """Return shares as percentages."""
    return ", ".join(f"{100 * share:.2f} %" for share in shares)


def prices_of(manifest: Manifest) -> Prices | None:
    """Return the prices of the study's device; None where the search space does not have them."""
    device = _settings(manifest, "device")
    names = ("hardware_usd_per_hour", "memory_usd_per_gib_hour", "other_usd_per_million")
    found = [price for name in names if isinstance(price := device.get(name), int | float) and 0 <= price < 1e12]
    return Prices(*map(float, found)) if len(found) == len(names) else None


def fact_rows(bundle: Bundle, made: Mapping[str, Row], why_not: str) -> Iterator[Row]:
    """Yield the rows of the facts of which there is none in `made` yet."""
    outputs = made.get(sample_outputs(bundle))
    for what, promised in fact_texts(bundle).items():
        if what in made:
            continue
        if what == TOLERANCE:
            yield Row(what, promised, "that of the runtime", "holds")
        elif what == INPUT and outputs is not None and outputs.verdict == "holds":
            yield Row(what, promised, "what the model takes and gives", "holds")
        else:
            yield unchecked(what, promised, why_not)


def word_rows(manifest: Manifest) -> Iterator[Row]:
    """Yield the rows of what cannot be checked: how the trial was chosen, how it was made, and texts."""
    chosen, again, made = manifest.chosen, manifest.confirmed, manifest.provenance
    states = [
        "feasible" if chosen.is_feasible else "not feasible",
        "on the front" if chosen.is_on_front else "not on the front",
        *(["its times not valid"] if chosen.invalid else []),
    ]
    others = "the study's other trials are not in a bundle"
    yield unchecked(CHOICE, f"{chosen.how}; {', '.join(states)}", others)
    if again is not None:
        probability = "not known" if again.probability is None else f"{again.probability:g}"
        promised = f"probability {probability}, {len(again.ties)} ties, {again.rounds} rounds"
        yield unchecked(MEMBERSHIP, promised, others)
    if (shown := manifest.normalization) is not None:
        promised = f"{(shown.stated or 'that of its training images')[:80]}: mean {shown.mean}, std {shown.std}"
        yield unchecked("normalization", promised, "it is inside of the model")
    yield unchecked("variant", _network_values(manifest.variant), "its files do not say what they were made from")
    why = "how they lie around their values was checked, and not how wide they are"
    yield unchecked("intervals of times", "those of 95 %", why)
    promised = f"made {made.created} of weights {made.weights[:20]}, seed {made.seed}"
    why = "so are its search space, prices and software, and the system and memory of its device"
    yield unchecked(PROVENANCE, promised, why)
    promised = "README.md, front.svg, Dockerfile, requirements.txt"
    yield unchecked("texts", promised, "no check compares them with the manifest")


def _tolerance(bundle: Bundle) -> str:
    """Compare with the runtime's tolerance, which the sender cannot choose."""
    execution = bundle.manifest.execution
    if bundle.manifest.samples.tolerance == bundle.tolerance:
        return ""
    return f"{execution.runtime} and {execution.quantization} have the tolerance {bundle.tolerance:g}"


def _input(bundle: Bundle) -> str:
    manifest, task = bundle.manifest, bundle.task
    expected = task.input_facts(manifest.input.spec)
    if manifest.input_facts != expected:
        return f"it is {str(manifest.input_facts)[:200]!r}: expected {str(dict(expected))!r}"
    names, expected_names = (manifest.input.name, manifest.output.name), (task.input_name, task.output_name)
    return "" if names == expected_names else f"the tensors are {names}: expected {expected_names}"


def _exit_shares(bundle: Bundle, samples: SampleArrays) -> str:
    manifest, noun = bundle.manifest, bundle.task.noun[1]
    shares, n = manifest.exit_shares, manifest.provenance.data.n_validation
    if len(shares) != manifest.execution.n_exits:
        return f"there are {len(shares)}, and {manifest.execution.n_exits} exits"
    if not all(0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1, rel_tol=1e-9):
        return f"they are not shares of all {noun}: their sum is {sum(shares):g}"
    for index, share in enumerate(shares):
        n_left, n_samples = round(share * n), int((samples.exits == index).sum())
        if not math.isclose(share * n, n_left, abs_tol=1e-6):
            return f"{share:g} is no number of {noun} of {n}"
        if n_left < n_samples:
            return f"{n_left} of {n} {noun} take exit {index + 1}, and {n_samples} of the samples among them"
    return ""


def _data(bundle: Bundle) -> str:
    n, noun = bundle.manifest.provenance.data.n_validation, bundle.task.noun[1]
    if _settings(bundle.manifest, "data").get("validation", n) != n:
        return f"the search space has another number of validation {noun} than {n}"
    n_samples = bundle.manifest.samples.n
    return f"{n_samples} samples are not among {n} validation {noun}" if n_samples > n else ""


def _choice(manifest: Manifest) -> str:
    """Check that a feasible trial breaks no constraint that can be judged without the baseline."""
    chosen, values = manifest.chosen, {name: m.value for name, m in manifest.metrics.items() if m.value is not None}
    if manifest.name != f"{chosen.study}-trial-{chosen.trial}":
        return f"{MANIFEST} is called {manifest.name}, and is of trial {chosen.trial} of {chosen.study[:100]}"
    limits = manifest.provenance.search_space.get("constraints")
    if not chosen.is_feasible or not isinstance(limits, list):
        return ""
    for one in limits:
        limit = _constraint(one)
        if limit is not None and limit.metric in values and limit.violation(values, {}) > 0:
            return f"it is feasible, and breaks `{limit}`"
    return ""


def _constraint(facts: object) -> Constraint | None:
    """Return an untrusted constraint with an absolute bound; None for anything else."""
    try:
        found = TypeAdapter(Constraint).validate_json(json.dumps(facts), strict=True)
    except ValidationError:
        return None
    return None if found.is_relative or not abs(found.bound) < 1e100 else found


def _membership(manifest: Manifest) -> str:
    again, trial = manifest.confirmed, manifest.chosen.trial
    if again is None or (trial not in again.ties and len(set(again.ties)) == len(again.ties)):
        return ""
    return f"its ties are {str(again.ties)[:80]}: expected other trials than {trial}, each once"


def _provenance(manifest: Manifest) -> str:
    seed = manifest.provenance.seed
    return "" if _settings(manifest, "search").get("seed", seed) == seed else "its seed is not that of its search space"


def _settings(manifest: Manifest, section: str) -> Mapping[str, Any]:
    """Return a section of the untrusted search space; empty where it is none."""
    value = manifest.provenance.search_space.get(section)
    return value if isinstance(value, dict) else {}


def _network_values(variant: Variant) -> str:
    """Return the values of the parameters that make the network."""
    specs = [spec for name, spec in PARAMETERS.items() if spec.phase == "network" and name in variant]
    return ", ".join(f"{spec.title or spec.name} {variant[spec.name]}" for spec in specs)
