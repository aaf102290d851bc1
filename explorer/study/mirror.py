"""Mirror: an Optuna study in memory, with the real study's results, that model-based samplers look into.

The samplers are Optuna's. Each proposal gets a sampler of its own, seeded by the study's seed and the number of
trials so far, and a mirror that is a function of those trials. So a proposal depends on nothing else, and a study
that was killed and resumed proposes what it would have proposed.

The genetic samplers also remember generations. A trial's generation follows from how many trials completed before it
(Optuna's own rule, repeated here because a finished trial cannot be labeled later), and the parents of a
generation are selected with a sampler that is seeded by the generation: both can be worked out again at any time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from explorer.objectives import Direction
from explorer.study.grid import Grid
from explorer.study.seeds import derived_seed

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

_POPULATION = 20
"""Trials in a generation of the genetic samplers: a study of 60 trials still has three generations."""


def _tpe(seed: int) -> BaseSampler:
    # One trial at a time: there are no running trials whose results would have to be guessed ("constant liar").
    return optuna.samplers.TPESampler(seed=seed, constant_liar=False)


def _nsga2(seed: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)


def _nsga3(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna is pinned to one major version
        return optuna.samplers.NSGAIIISampler(population_size=_POPULATION, seed=seed)


def _gp(seed: int) -> BaseSampler:
    import torch

    torch.set_num_threads(1)  # its matrices are small: on two cores one thread is several times faster than two
    return optuna.samplers.GPSampler(seed=seed)


MODELS: Mapping[str, Callable[[int], BaseSampler]] = {"tpe": _tpe, "nsga2": _nsga2, "nsga3": _nsga3, "gp": _gp}


@dataclass(frozen=True, slots=True)
class Observation:
    """What a sampler is told of one trial: its variant's number, its objectives, and its violations as shares of
    their bounds (<= 0: the constraint holds). `values` None: the trial failed.
    """

    index: int
    values: tuple[float, ...] | None
    violations: Mapping[str, float]


class Mirror:
    """An Optuna study in memory and the sampler that looks into it."""

    def __init__(self, grid: Grid, directions: Sequence[Direction], sampler: str, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._grid = grid
        self._make_sampler = MODELS[sampler]
        self._seed = seed
        self._study = optuna.create_study(directions=list(directions), sampler=self._make_sampler(seed))
        self._generation = 0
        self._n_in_generation = 0
        self._n_selected = 0

    def add(self, observation: Observation) -> None:
        """Show the next finished trial to the sampler. Failed ones tell a sampler nothing."""
        if observation.values is None:
            return
        attributes: dict[str, Any] = {}
        sampler = self._study.sampler
        if isinstance(sampler, optuna.samplers.BaseGASampler):
            if self._n_in_generation >= _POPULATION:
                self._generation, self._n_in_generation = self._generation + 1, 0
            self._n_in_generation += 1
            attributes[sampler._get_generation_key()] = self._generation
        self._study.add_trial(
            optuna.trial.create_trial(
                params=self._grid.params(observation.index),
                distributions=self._grid.distributions,
                values=list(observation.values),
                constraints=dict(observation.violations),
                system_attrs=attributes,
            )
        )

    def propose(self, n_finished: int, attempt: int) -> int:
        """The number of the variant that the sampler wants next, seen before or not."""
        study = self._study
        study.sampler = self._make_sampler(derived_seed(self._seed, "proposal", n_finished, attempt))
        self._select_parents()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            trial = study.ask(self._grid.distributions)
        study.tell(trial, state=TrialState.FAIL)  # the result, if there will be one, comes by `add`
        return self._grid.index_of_params(trial.params)

    def _select_parents(self) -> None:
        """Select the parents of every generation up to the next trial's, each with the generation's own seed."""
        if not isinstance(self._study.sampler, optuna.samplers.BaseGASampler):
            return
        coming = self._generation + (self._n_in_generation >= _POPULATION)
        for generation in range(self._n_selected + 1, coming + 1):
            sampler = self._make_sampler(derived_seed(self._seed, "generation", generation))
            if isinstance(sampler, optuna.samplers.BaseGASampler):
                sampler.get_parent_population(self._study, generation)
        self._n_selected = coming
