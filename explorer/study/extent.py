"""Extent: how many trials a study can have, which a small search space bounds."""

from __future__ import annotations

from explorer.space.values import SearchSpace, uniform_width
from explorer.study.vocabulary import vocabulary


def n_possible_trials(space: SearchSpace) -> int:
    """What was asked for, unless the space has fewer variants; the baseline is tried also where it is none of them.

    What was asked for where the study is of a program that knows other runtimes, whose variants nobody can count here.
    """
    words, n_asked = vocabulary(), space.search.n_trials
    if not words.runtimes.keys() >= set(space.parameters["runtime"].values):
        return n_asked
    return min(n_asked, space.n_variants(words) + (not _has_baseline(space)))


def _has_baseline(space: SearchSpace) -> bool:
    """Whether the baseline, which is always measured, is a variant of the space itself."""
    baseline = space.baseline()
    return all(
        getattr(baseline, name) in {uniform_width(value) for value in parameter.values}  # type: ignore[arg-type]
        for name, parameter in space.parameters.items()
    )
