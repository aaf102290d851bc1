"""The names that a search space may use, the samplers, and how many variants this machine can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from explorer.data.source import dataset_names
from explorer.errors import RuntimeNotAvailable
from explorer.measure.scenarios.scenario import SCENARIOS, foreign_parameters, scenario_named
from explorer.models.registry import FAMILIES, OWN, family_named
from explorer.parameters import PARAMETERS, canonical
from explorer.runtimes.runtime import foreign_parameters as parameters_of_other_runtimes
from explorer.runtimes.runtime import runtime
from explorer.runtimes.runtime import survey as runtime_survey
from explorer.space.values import DEFAULT_SCENARIO, SearchSpace, Vocabulary

SAMPLERS: Mapping[str, str] = {
    "tpe": "tree-structured Parzen estimator: a good start for 20 to 10,000 trials",
    "nsga2": "genetic, non-dominated sorting and crowding: for hundreds of trials and more",
    "nsga3": "genetic, with reference directions: for hundreds of trials and four objectives or more",
    "gp": "Gaussian processes: most from few trials, slow beyond 500; loads torch into the coordinator",
    "random": "every variant equally likely",
    "qmc": "Sobol's well-spread points",
    "grid": "every variant once, in a random order",
}


def n_possible_trials(space: SearchSpace) -> int:
    """Return the requested number of trials, limited by the number of variants, the baseline included.

    The limit does not apply to a study with unknown runtimes, whose variants cannot be counted here.
    """
    words, n_asked = vocabulary(), space.search.n_trials
    if not words.runtimes.keys() >= set(space.parameters["runtime"].values):
        return n_asked
    return min(n_asked, space.n_variants(words) + (not _has_baseline(space)))


def _has_baseline(space: SearchSpace) -> bool:
    """Return whether the baseline, which is always measured, is a variant of the space."""
    baseline = space.baseline()
    return all(baseline[name] in map(canonical, parameter.values) for name, parameter in space.parameters.items())


def installed_part(space: SearchSpace, vocabulary: Vocabulary) -> tuple[SearchSpace, dict[str, str]]:
    """Return the space without the runtimes that are not installed, and why each of them is left out.

    Raises RuntimeNotAvailable when the baseline's runtime is one of them, or when no variant remains.
    """
    wanted = space.parameters["runtime"]
    left_out = {str(name): why for name in wanted.values if (why := runtime(str(name)).missing())}
    reasons = "; ".join(left_out.values())
    if (baseline := space.baseline()["runtime"]) in left_out:
        raise RuntimeNotAvailable(f"the baseline runs on {baseline}, which cannot be left out: {left_out[baseline]}")
    values = tuple(name for name in wanted.values if name not in left_out)
    part = replace(space, parameters={**space.parameters, "runtime": replace(wanted, values=values)})
    if left_out and not part.executions(vocabulary):
        raise RuntimeNotAvailable(f"without the runtimes that are not installed no variant is left: {reasons}")
    return part, left_out


def vocabulary() -> Vocabulary:
    """Return every data set, model family, runtime with its quantizations, scenario and sampler, and all parameters.

    A plugin that cannot be used is among the faults.
    """
    families, family_faults = FAMILIES.survey(family_named)
    scenarios, scenario_faults = SCENARIOS.survey(scenario_named)
    runtimes, _ = runtime_survey()
    traits = {name: family.traits for name, family in families.items()}
    of_families = {spec.name for one in (OWN, *traits.values()) for spec in one.parameters}
    of_others = foreign_parameters(DEFAULT_SCENARIO)
    elsewhere = of_families | of_others | parameters_of_other_runtimes(())
    return Vocabulary(
        datasets=dataset_names(),
        families=traits,
        own=OWN,
        parameters=tuple(spec for name, spec in PARAMETERS.items() if name not in elsewhere),
        runtimes={name: plugin.quantizations for name, plugin in runtimes.items()},
        samplers=tuple(SAMPLERS),
        scenarios={
            name: tuple(spec for spec in one.parameters if spec.name in of_others) for name, one in scenarios.items()
        },
        runtime_parameters={name: plugin.parameters for name, plugin in runtimes.items()},
        faults={"families": family_faults, "scenarios": scenario_faults},
    )
