"""Mirror: an Optuna study in memory, with the real study's results, that model-based samplers look into.

The samplers are Optuna's. Each proposal gets a sampler of its own, seeded by the study's seed and the number of
trials so far, and a mirror that is a function of those trials. So a proposal depends on nothing else, and a study
that was killed and resumed proposes what it would have proposed.

The genetic samplers also remember generations. A trial's generation follows from how many trials completed before it
(Optuna's own rule, repeated here because a finished trial cannot be labeled later), and the parents of a
generation are selected with a sampler that is seeded by the generation: both can be worked out again at any time.

TPE's cost grows with the number of trials that it looks at, fifty times from 100 to 10,000 of them. So it is shown
_MOST_SHOWN at most, from which the least telling are left out now and then. It calls the best tenth of what it looks at
good, for several objectives (for a single one the best 25, however many there are), and weighs the others by their age:
so the best are kept, and of the others the latest. In three runs each of 2,500 trials in the long night's space, 250
and 1,000 shown trials led to the same hypervolume (a mean of 0.0385; from 0.0380 to 0.0389, and to 0.0386).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from explorer.objectives import Direction
from explorer.pareto.front import ranks
from explorer.study.grid import Grid
from explorer.study.seeds import derived_seed

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

_POPULATION = 20
"""Trials in a generation of the genetic samplers: a study of 60 trials still has three generations."""

_MOST_SHOWN, _N_KEPT, _N_BEST = 250, 200, 80
"""TPE is shown at most so many trials; beyond that, so many are kept, among them so many for being the best."""

_MOST_ASKED = 125
"""Each proposal leaves a trial in Optuna's study that nobody needs: after so many, TPE gets a study without them."""


class _Shared(dict[str, "BaseDistribution"]):
    """Distributions that every copy of a trial shares: they never change, and are most of a trial's memory."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self


class _Tpe(optuna.samplers.TPESampler):
    """Optuna's, told that all trials have the same parameters: it would look through all of them to find out."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters of any trial, by name, as Optuna's would be."""
        shown = study.get_trials(deepcopy=False)
        return dict(sorted(shown[0].distributions.items())) if shown else {}


def _tpe(seed: int) -> BaseSampler:
    # One trial at a time: there are no running trials whose results would have to be guessed ("constant liar").
    # Several parameters at once: for several objectives, each alone is Optuna's default, which splits the trials into
    # good and bad again for each and, of 1,000 proposals of the long night's space, repeated 5 of 6; so, 1 of 10.
    return _Tpe(seed=seed, constant_liar=False, multivariate=True)


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
        self._directions = list(directions)
        self._distributions = _Shared(grid.distributions)
        self._make_sampler = MODELS[sampler]
        self._seed = seed
        self._is_forgetful = sampler == "tpe"
        self._remembered: list[Observation] = []
        self._coming: list[Observation] = []
        self._study = self._empty_study()
        self._n_asked = 0
        self._generation = 0
        self._n_in_generation = 0
        self._n_selected = 0

    def add(self, observation: Observation) -> None:
        """Show the next finished trial to the sampler. Failed ones tell a sampler nothing."""
        if observation.values is None:
            return
        self._coming.append(observation)
        if self._is_forgetful:
            self._remembered.append(observation)
            if len(self._remembered) > _MOST_SHOWN:
                self._remembered = memorable(self._remembered, self._directions)
                self._begin_anew()

    def propose(self, n_finished: int, attempt: int) -> int:
        """The number of the variant that the sampler wants next, seen before or not."""
        self._catch_up()
        study = self._study
        study.sampler = self._make_sampler(derived_seed(self._seed, "proposal", n_finished, attempt))
        self._select_parents()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            trial = study.ask(self._grid.distributions)
        study.tell(trial, state=TrialState.FAIL)  # the result, if there will be one, comes by `add`
        self._n_asked += 1
        return self._grid.index_of_params(trial.params)

    def _empty_study(self) -> optuna.Study:
        return optuna.create_study(directions=self._directions, sampler=self._make_sampler(self._seed))

    def _begin_anew(self) -> None:
        """An empty study, that is shown what is remembered before it is asked."""
        self._study, self._coming, self._n_asked = self._empty_study(), list(self._remembered), 0

    def _catch_up(self) -> None:
        """Show what was added since the last proposal. A study that is resumed adds thousands before its first."""
        if self._is_forgetful and self._n_asked >= _MOST_ASKED:
            self._begin_anew()
        for observation in self._coming:
            self._show(observation)
        self._coming = []

    def _show(self, observation: Observation) -> None:
        attributes: dict[str, Any] = {}
        sampler = self._study.sampler
        if isinstance(sampler, optuna.samplers.BaseGASampler):
            if self._n_in_generation >= _POPULATION:
                self._generation, self._n_in_generation = self._generation + 1, 0
            self._n_in_generation += 1
            attributes[sampler._get_generation_key()] = self._generation
        trial = optuna.trial.create_trial(
            params=self._grid.params(observation.index),
            distributions=self._distributions,
            values=list(observation.values or ()),
            constraints=dict(observation.violations),
            system_attrs=attributes,
        )
        trial.distributions = self._distributions  # it made itself another dictionary of them
        self._study.add_trial(trial)

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


def memorable(observations: Sequence[Observation], directions: Sequence[Direction]) -> list[Observation]:
    """The _N_BEST best of these observations, which all have values, and the latest of the others: _N_KEPT in all.

    They keep their order. Best is what TPE calls so: the feasible ones front by front, then the infeasible ones by the
    sum of their violations; of equals the later.
    """
    excess = np.array([sum(share for share in one.violations.values() if share > 0) for one in observations])
    points = np.array([one.values for one in observations], dtype=np.float64)
    rank = np.zeros(len(observations), dtype=np.int64)
    if (is_feasible := excess <= 0).any():
        rank[is_feasible] = ranks(points[is_feasible], directions)
    from_best = np.lexsort((-np.arange(len(observations)), rank, excess))
    best = np.sort(from_best[:_N_BEST])
    others = np.sort(from_best[_N_BEST:])[_N_BEST - _N_KEPT :]
    return [observations[index] for index in np.sort(np.concatenate([best, others])).tolist()]
