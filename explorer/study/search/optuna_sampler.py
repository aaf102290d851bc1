"""Model-based samplers of Optuna, on an in-memory study with the real study's results.

Each proposal uses a new sampler, seeded by the study's seed and the number of trials so far, and an in-memory study
that is a function of those trials. So a proposal depends on nothing else, and a resumed study proposes what it would
have proposed.

The genetic samplers also need generations. A trial's generation follows from how many trials completed before it
(Optuna's own rule, repeated here because a finished trial cannot be labeled later). The parents of a generation are
selected with a sampler seeded by the generation. Both can be recomputed at any time.

TPE's cost grows with its number of trials, fifty times from 100 to 10,000. So it gets _MOST_SHOWN at most, from which
the least informative are removed now and then. TPE models the best tenth of its trials as good, for several objectives
(for one, the best 25), and weighs the others by age: so the best stay, and of the others the latest. In three runs each
of 2,500 trials in a large space, 250 and 1,000 trials led to the same hypervolume (mean 0.0385; 0.0380 to 0.0389, and
to 0.0386).
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

from explorer.metrics import Direction
from explorer.pareto.front import ranks
from explorer.study.search.grid import Grid
from explorer.system.hashing import derived_seed

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

_POPULATION = 20
"""Trials per generation of the genetic samplers: a study of 60 trials has three generations."""

_MOST_SHOWN, _N_KEPT, _N_BEST = 250, 200, 80
"""Maximum number of TPE's trials; beyond it, the number that stays, and how many of those for being the best."""

_MOST_ASKED = 125
"""Each proposal leaves a useless trial in Optuna's study: after so many, TPE gets a study without them."""


class _Shared(dict[str, "BaseDistribution"]):
    """Distributions that all copies of a trial share: they never change, and are most of a trial's memory."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self


class _Tpe(optuna.samplers.TPESampler):
    """Optuna's, without its search through all trials for common parameters: all have the same."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters of any trial, sorted by name as Optuna's are."""
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
    """One trial as a sampler gets it: variant number, objectives, and violations relative to their bounds.

    A constraint with a violation <= 0 holds. `values` None: the trial failed.
    """

    index: int
    values: tuple[float, ...] | None
    violations: Mapping[str, float]


class OptunaSampler:
    """An in-memory Optuna study and the sampler that uses it."""

    def __init__(self, grid: Grid, directions: Sequence[Direction], sampler: str, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._grid = grid
        self._directions = list(directions)
        self._distributions = _Shared(grid.distributions)
        self._make_sampler = MODELS[sampler]
        self._seed = seed
        self._has_limited_history = sampler == "tpe"
        self._history: list[Observation] = []
        self._pending: list[Observation] = []
        self._study = self._empty_study()
        self._n_asked = 0
        self._generation = 0
        self._n_in_generation = 0
        self._n_selected = 0

    def add(self, observation: Observation) -> None:
        """Add the next finished trial. Failed ones are ignored."""
        if observation.values is None:
            return
        self._pending.append(observation)
        if self._has_limited_history:
            self._history.append(observation)
            if len(self._history) > _MOST_SHOWN:
                self._history = most_informative(self._history, self._directions)
                self._begin_anew()

    def propose(self, n_finished: int, attempt: int) -> int:
        """Return the number of the variant that the sampler proposes, seen before or not."""
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
        """Start an empty study, to which the history is added before the next proposal."""
        self._study, self._pending, self._n_asked = self._empty_study(), list(self._history), 0

    def _catch_up(self) -> None:
        """Add the trials since the last proposal; a resumed study adds thousands before its first."""
        if self._has_limited_history and self._n_asked >= _MOST_ASKED:
            self._begin_anew()
        for observation in self._pending:
            self._show(observation)
        self._pending = []

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


def most_informative(observations: Sequence[Observation], directions: Sequence[Direction]) -> list[Observation]:
    """Return the _N_BEST best of these observations, which all have values, and the latest others: _N_KEPT in all.

    Their order is unchanged. Best as in TPE: feasible ones front by front, then infeasible ones by their sum of
    violations; ties go to the later.
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
