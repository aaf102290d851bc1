"""What TPE is shown of a long study."""

from __future__ import annotations

from functools import partial

import optuna
import pytest
from fakes import OBJECTIVES, VOCABULARY, known_metrics, small_space
from hypothesis import given
from hypothesis import strategies as st

from explorer.study.search import optuna_sampler
from explorer.study.search.grid import Grid
from explorer.study.search.optuna_sampler import Observation, OptunaSampler, most_informative

DIRECTIONS = [objective.direction for objective in OBJECTIVES]
GRID = Grid(small_space(exit_threshold=[i / 20 for i in range(10, 21)]), VOCABULARY)
LEVELS = st.integers(1, 4).map(float)
OBSERVATION = st.builds(
    Observation,
    st.integers(0, GRID.n_variants - 1),
    st.tuples(LEVELS, LEVELS, LEVELS),
    st.fixed_dictionaries({"memory": st.sampled_from([-0.5, 0.0, 0.25, 0.5])}),
)


def shown(one: OptunaSampler) -> list[dict[str, object]]:
    """The parameters of the trials that the sampler would look at next, in their order."""
    one._catch_up()
    return [trial.params for trial in one._study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]


def observed(one: OptunaSampler, first: int, last: int) -> None:
    for number in range(first, last):
        index = number % GRID.n_variants
        metrics = known_metrics(GRID.variant(index))
        one.add(Observation(index, tuple(metrics[o.metric] for o in OBJECTIVES), {"a": (index % 5 - 3) / 10}))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """TPE forgets after 30 trials instead of after many."""
    for name, value in {"_MOST_SHOWN": 30, "_N_KEPT": 20, "_N_BEST": 5}.items():
        monkeypatch.setattr(optuna_sampler, name, value)


def dominates(one: Observation, other: Observation) -> bool:
    pairs = [
        (b, a) if d == "maximize" else (a, b) for d, a, b in zip(DIRECTIONS, one.values, other.values, strict=True)
    ]
    return all(a <= b for a, b in pairs) and one.values != other.values


@given(st.lists(OBSERVATION, max_size=40))
def test_most_informative_any_observations_are_the_best_and_the_latest_in_their_order(observations):
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"_N_KEPT": 12, "_N_BEST": 4}.items():
            patched.setattr(optuna_sampler, name, value)
        kept = most_informative(observations, DIRECTIONS)
    assert len(kept) == min(len(observations), 12)
    places = {id(one): place for place, one in enumerate(observations)}
    assert [places[id(one)] for one in kept] == sorted(places[id(one)] for one in kept)
    identities = {id(one) for one in kept}
    assert {id(one) for one in observations[-8:]} <= identities
    feasible = [one for one in observations if one.violations["memory"] <= 0]
    front = [one for one in feasible if not any(dominates(other, one) for other in feasible)]
    assert sum(id(one) in identities for one in front) >= min(4, len(front))


def test_sampler_tpe_up_to_250_trials_is_shown_all_of_them():
    one = OptunaSampler(GRID, DIRECTIONS, "tpe", 0)
    observed(one, 0, 250)
    assert shown(one) == [GRID.params(index % GRID.n_variants) for index in range(250)]


def test_sampler_tpe_proposes_what_optunas_own_would(monkeypatch):
    def proposals() -> list[int]:
        one, found = OptunaSampler(GRID, DIRECTIONS, "tpe", 0), []
        for index in range(40):
            found.append(one.propose(index, 0))
            observed(one, index, index + 1)
        return found

    ours = proposals()
    plain = partial(optuna.samplers.TPESampler, constant_liar=False, multivariate=True)
    monkeypatch.setattr(optuna_sampler, "MODELS", {"tpe": lambda seed: plain(seed=seed)})
    assert ours == proposals()
    assert len(set(ours)) > 10


def test_sampler_tpe_proposes_the_same_whenever_it_gets_rid_of_what_was_asked(monkeypatch):
    def proposals(most_asked: int) -> tuple[list[int], int]:
        monkeypatch.setattr(optuna_sampler, "_MOST_ASKED", most_asked)
        one, found = OptunaSampler(GRID, DIRECTIONS, "tpe", 0), []
        for index in range(40):
            found.append(one.propose(index, 0))
            observed(one, index, index + 1)
        return found, len(one._study.get_trials(deepcopy=False))

    (kept, n_kept), (rid, n_rid) = proposals(1000), proposals(7)
    assert kept == rid
    assert (n_kept, n_rid) == (39 + 40, 39 + 5)


@pytest.mark.usefixtures("few")
def test_sampler_tpe_long_study_keeps_to_its_bound_however_long_it_is():
    one = OptunaSampler(GRID, DIRECTIONS, "tpe", 0)
    sizes = []
    for index in range(120):
        one.propose(index, 0)
        observed(one, index, index + 1)
        sizes.append(len(one._study.get_trials(deepcopy=False)))
    assert sizes[:30] == [2 * index + 1 for index in range(30)]  # those before, and as many proposals
    assert max(sizes) == 59
    assert shown(one)[-1] == GRID.params(119)


@pytest.mark.usefixtures("few")
def test_sampler_tpe_resumed_after_it_forgot_proposes_the_same():
    whole = OptunaSampler(GRID, DIRECTIONS, "tpe", 0)
    for index in range(75):
        whole.propose(index, 0)
        observed(whole, index, index + 1)
    resumed = OptunaSampler(GRID, DIRECTIONS, "tpe", 0)
    observed(resumed, 0, 75)
    assert shown(resumed) == shown(whole)
    assert [resumed.propose(n, 0) for n in range(75, 80)] == [whole.propose(n, 0) for n in range(75, 80)]


@pytest.mark.usefixtures("few")
def test_sampler_genetic_sampler_forgets_nothing():
    one = OptunaSampler(GRID, DIRECTIONS, "nsga2", 0)
    observed(one, 0, 50)
    assert len(shown(one)) == 50
