"""`explore check`: the size of a search space, an estimate of its time, and what is missing on this machine."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from explorer.commands.printing import console, print_json
from explorer.data.source import check_task, input_shape, locate
from explorer.errors import ExplorerError, NotAvailable
from explorer.measure.energy import EnergyCounter
from explorer.measure.noise import Noise, measured_noise
from explorer.measure.timing import FULL
from explorer.models.base import trained_shapes
from explorer.models.registry import is_own, shipped, source_file
from explorer.runtimes.runtime import runtime
from explorer.space.read import Overrides, load_space
from explorer.space.values import SearchSpace, Vocabulary
from explorer.study.baseline import input_text
from explorer.study.vocabulary import installed_part, n_possible_trials, vocabulary
from explorer.tasks.task import task_named

_TRIAL_S = 6.5  # build and measurement of one variant on two cores, mean of a CIFAR-10 study; smaller inputs take less
_TRAINING_S = {"default": 14 * 60.0, "long": 80 * 60.0, "shipped": 5 * 3600.0, "quick": 90.0}
_NOISE_S = 3.0
_SMALL_TRAINING_S = {"digits": 30.0, "cluttered_digits": 120.0}
_SMALL_SHAPES = {"digits": [1, 8, 8], "cluttered_digits": [1, 15, 15]}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    name: str
    is_ok: bool
    text: str


def check(file: Path, data: Path | None, is_json: bool, is_skipping: bool = False) -> None:
    """Print the findings; `is_skipping` leaves out runtimes that are not installed.

    Raises SpaceError for an invalid file, NotAvailable when something is missing.
    """
    words = vocabulary()
    space = load_space(file, words, Overrides())
    space, left_out = installed_part(space, words) if is_skipping else (space, {})
    noise = measured_noise(_NOISE_S)
    facts = _facts(space, words, noise)
    skipped = [Finding(f"runtime {name}", True, f"left out: {why}") for name, why in left_out.items()]
    runtimes = [*_runtimes(space), *skipped]
    findings = [*_data(space, data), *_own_code(space), *_weights(space), *runtimes, *_sensors(space)]
    findings.append(Finding("noise", True, noise.sentence))
    missing = [finding for finding in findings if not finding.is_ok]
    if is_json:
        said = [{"name": f.name, "ok": f.is_ok, "text": f.text} for f in findings]
        print_json({**facts, "findings": said}, is_patient=bool(missing))
    else:
        _print(console(is_patient=bool(missing)), space, facts, findings)
    if missing:
        raise NotAvailable(
            f"{len(missing)} of what {file} needs is missing: {', '.join(f.name for f in missing)} (see above)"
        )


def _facts(space: SearchSpace, words: Vocabulary, noise: Noise) -> dict[str, Any]:
    n_variants = space.n_variants(words)
    n_trials = n_possible_trials(space)
    pairs = list(dict.fromkeys(values[:2] for values in space.executions(words)))
    n_pairs = len(space.parameters["runtime"].values) * len(space.parameters["quantization"].values)
    return {
        "study": space.name,
        "n_variants": n_variants,
        "n_trials": n_trials,
        "free": {name: list(p.values) for name, p in space.parameters.items() if not p.is_fixed},
        "fixed": {name: p.values[0] for name, p in space.parameters.items() if p.is_fixed},
        "executable_pairs": [":".join(map(str, pair)) for pair in pairs],
        "n_pairs_left_out": n_pairs - len(pairs),
        "input": None if space.input is None else str(space.input),
        "objectives": [asdict(objective) for objective in space.objectives],
        "constraints": [str(constraint) for constraint in space.constraints],
        "estimate_s": _estimate(space, n_trials, noise),
    }


def _estimate(space: SearchSpace, n_trials: int, noise: Noise) -> dict[str, float]:
    """Return seconds of training (0 for cached weights) and of all trials, to about a factor of two.

    Where the core is quiet for a third of the time, timing takes three times as long.
    """
    is_small = space.data.name in _SMALL_SHAPES
    needs_training = bool(space.recipe) and not _is_trained(space)
    once = _SMALL_TRAINING_S[space.data.name] if is_small else _TRAINING_S.get(space.recipe, 900.0)
    training = once if needs_training else 0.0
    timing_s = min(FULL.min_s / max(noise.quiet_ratio, 1e-3), space.measure.at_most_s)
    trials = n_trials * ((_TRIAL_S / 2 if is_small else _TRIAL_S) + timing_s - FULL.min_s)
    return {"training": training, "trials": min(trials, space.search.timeout_s or math.inf)}


def _is_trained(space: SearchSpace) -> bool:
    """Return whether the cache has weights of this recipe for inputs of the data set's size.

    The exact key has the data's fingerprint, which takes too long to compute here.
    """
    small = _SMALL_SHAPES.get(space.data.name)
    return any(shape == small if small else shape[0] == 3 for shape in trained_shapes(space.model, space.recipe))


def _data(space: SearchSpace, root: Path | None) -> list[Finding]:
    """Return findings about the location and shape of the inputs. Raise UsageError for an `input` of other channels."""
    try:
        check_task(space.data.name, task_named(space.task))
        source = locate(space.data, root)
        shape = input_shape(source)
    except ExplorerError as error:
        return [Finding("data", False, str(error))]
    verb = "found at" if source.is_present else "will be downloaded to"
    found = Finding("data", True, f"{source.dataset} ({source.kind}) {verb} {source.location}")
    if shape is None:
        return [found]
    nouns = task_named(space.task).noun[1]
    if space.input is not None:
        space.input.statistics(shape[0])
    return [found, Finding(nouns, True, input_text(shape, None if space.input is None else str(space.input)))]


def _own_code(space: SearchSpace) -> list[Finding]:
    """Return a finding about the user's own code, which a check does not run."""
    if not is_own(space.model):
        return []
    path = source_file(space.model)
    if path is None:
        return [Finding("network", False, f"no module of {space.model} is in {Path.cwd()} or installed")]
    text = f"{space.model}, from {path}: Python code that is not of this program, which `explore start` runs"
    return [Finding("network", True, text)]


def _weights(space: SearchSpace) -> list[Finding]:
    if not space.is_shipped:
        return []
    try:
        found = shipped(space.model, space.data.name)
    except ExplorerError as error:
        return [Finding("weights", False, str(error))]
    return [Finding("weights", True, f"shipped with the package, SHA-256 {found.card['sha256'][:16]}…")]


def _runtimes(space: SearchSpace) -> list[Finding]:
    findings = []
    for name in map(str, space.parameters["runtime"].values):
        plugin = runtime(name)
        why = plugin.missing()
        versions = "" if why else ", ".join(f"{package} {v}" for package, v in plugin.software().items())
        findings.append(Finding(f"runtime {name}", why is None, why or versions))
    return findings


def _sensors(space: SearchSpace) -> list[Finding]:
    wanted = {o.metric for o in space.objectives} | {c.metric for c in space.constraints}
    if "energy_mj" not in wanted:
        return []
    why = EnergyCounter.open().why
    return [Finding("energy", why is None, why or "RAPL counters are readable")]


def _print(out: Console, space: SearchSpace, facts: dict[str, Any], findings: list[Finding]) -> None:
    out.print(f"{space.name}: {facts['n_variants']:,} variants, {facts['n_trials']} trials by {space.search.sampler}")
    out.print("\nfree")
    for name, values in facts["free"].items():
        out.print(f"  {name:<15} {_values(values)}")
    out.print("fixed")
    for name, value in facts["fixed"].items():
        out.print(f"  {name:<15} {value}")
    left_out = facts["n_pairs_left_out"]
    out.print("\nruntime:quantization")
    out.print("  " + ", ".join(facts["executable_pairs"]))
    if left_out:
        out.print(f"  {left_out} more that no runtime can execute are never proposed")
    out.print("\nobjectives     " + ", ".join(f"{o.direction} {o.metric}" for o in space.objectives))
    out.print("constraints    " + (", ".join(facts["constraints"]) or "none") + "; they do not contradict each other")
    out.print("")
    for finding in findings:
        out.print(f"{'ok     ' if finding.is_ok else 'MISSING'} {finding.name}: {finding.text}")
    if facts["n_variants"] == 1:
        out.print("note    there is one variant: nothing to choose")
    seconds = facts["estimate_s"]
    training = (
        f"training about {_minutes(seconds['training'])}, once; " if seconds["training"] else "base network trained; "
    )
    out.print(f"\n{training}trials about {_minutes(seconds['trials'])}" + _limit(space))


def _values(values: list[Any]) -> str:
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(shown) if len(shown) <= 8 else f"{shown[0]}, {shown[1]}, … {shown[-1]} ({len(shown)} values)"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _limit(space: SearchSpace) -> str:
    return f" (they end after {_minutes(space.search.timeout_s)})" if space.search.timeout_s else ""
