"""The names that a search space may use, gathered from the registries."""

from __future__ import annotations

from explorer.data.registry import DATASETS
from explorer.models.registry import FAMILIES, traits
from explorer.runtimes.registry import RUNTIMES, runtime
from explorer.space.values import FamilyTraits, Vocabulary
from explorer.study.samplers import SAMPLERS


def vocabulary() -> Vocabulary:
    """Every registered data set, model family, runtime with its quantizations, and sampler."""
    return Vocabulary(
        datasets=tuple(DATASETS),
        families={name: _family(name) for name in FAMILIES},
        runtimes={name: runtime(name).quantizations for name in RUNTIMES},
        samplers=tuple(SAMPLERS),
    )


def _family(name: str) -> FamilyTraits:
    facts = traits(name)
    return FamilyTraits(facts.min_width, facts.n_stages, facts.has_exits, facts.recipes, tuple(facts.shipped))
