from __future__ import annotations

import warnings
from itertools import islice

import optuna
import pytest
from fakes import OBJECTIVES, VOCABULARY, known_metrics, small_space
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.metrics import Constraint
from explorer.pareto.hypervolume import hypervolume, reference_point
from explorer.records import Variant
from explorer.space.schema import SearchSection
from explorer.study.search.grid import Grid
from explorer.study.search.optuna_sampler import _POPULATION, Observation, OptunaSampler
from explorer.study.search.proposer import Proposer, Walk, shuffled, well_spread
from explorer.study.verdict import violation_shares
from explorer.study.vocabulary import SAMPLERS


@given(st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_shuffled_any_length_is_a_permutation(n, seed):
    assert sorted(shuffled(n, seed)) == list(range(n))
    assert list(shuffled(n, seed)) == list(shuffled(n, seed))


def test_shuffled_is_uniform_over_permutations():
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(6000):
        order = tuple(shuffled(3, seed))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts.values())  # 1000 ± 5 standard deviations


def test_shuffled_huge_range_is_lazy():
    assert len(set(islice(shuffled(10**15, 0), 100))) == 100


def test_well_spread_covers_every_level_soon():
    grid = Grid(small_space(), VOCABULARY)
    first = [grid.levels(index) for index in islice(well_spread(grid, 0), 64)]
    for axis, size in enumerate(grid.sizes):
        counts = [sum(levels[axis] == level for levels in first) for level in range(size)]
        assert max(counts) - min(counts) <= 2


def test_well_spread_space_without_axes_is_empty():
    grid = Grid(small_space(width=(1.0,), pruning_ratio=(0.0,), quantization=("none",), runtime=("eager",)), VOCABULARY)
    assert list(well_spread(grid, 0)) == []


def test_walk_late_start_gives_what_an_early_one_would():
    seen: set[int] = set()
    early = Walk(shuffled(50, 3))
    for _ in range(50):
        point = early.first_unseen(seen)
        assert point == Walk(shuffled(50, 3)).first_unseen(seen) == early.first_unseen(seen)
        assert point is not None
        seen.add(point)
    assert early.first_unseen(seen) is None


CONSTRAINTS = (Constraint("accuracy", ">=", 0.85, is_relative=True), Constraint("peak_memory_mib", "<=", 500.0))
FAST = [name for name in SAMPLERS if name != "gp"]


def make(sampler: str, seed: int = 0, **parameters) -> tuple[Grid, Proposer]:
    grid = Grid(small_space(constraints=CONSTRAINTS, **parameters), VOCABULARY)
    return grid, Proposer(grid, [objective.direction for objective in OBJECTIVES], sampler, seed)


def tell(proposer: Proposer, variant: Variant) -> None:
    metrics = known_metrics(variant)
    shares = violation_shares(CONSTRAINTS, metrics, known_metrics(Variant()))
    proposer.observe(variant, tuple(metrics[objective.metric] for objective in OBJECTIVES), shares)


def proposals(sampler: str, n: int, seed: int = 0, resume_at: int | None = None, **parameters) -> list[int]:
    """`n` proposals after the baseline; at `resume_at` the proposer is made anew from the history."""
    grid, proposer = make(sampler, seed, **parameters)
    tell(proposer, Variant())
    found: list[int] = []
    for count in range(n):
        if count == resume_at:
            _, proposer = make(sampler, seed, **parameters)
            tell(proposer, Variant())
            for index in found:
                tell(proposer, grid.variant(index))
        index = proposer.next()
        assert index is not None
        found.append(index)
        tell(proposer, grid.variant(index))
    return found


def test_samplers_default_is_one_of_them():
    assert SearchSection().sampler in SAMPLERS
    assert tuple(SAMPLERS) == VOCABULARY.samplers


@pytest.mark.parametrize("sampler", FAST)
def test_proposals_same_seed_are_the_same_and_another_seed_differs(sampler):
    first = proposals(sampler, 30)
    assert first == proposals(sampler, 30)
    assert first != proposals(sampler, 30, seed=1)
    assert len(set(first)) == 30


@pytest.mark.parametrize("sampler", FAST)
@pytest.mark.parametrize("resume_at", [1, 20, 47])
def test_proposals_after_resume_are_those_of_an_uninterrupted_study(sampler, resume_at):
    assert proposals(sampler, 50, resume_at=resume_at) == proposals(sampler, 50)


def test_proposals_gp_resumed_are_the_same_and_unseen():
    first = proposals("gp", 13)
    assert first == proposals("gp", 13, resume_at=12)
    assert len(set(first)) == 13


@pytest.mark.parametrize("sampler", FAST)
def test_proposals_small_space_exhaust_it_and_then_end(sampler):
    small = {"width": (0.5, 1.0), "pruning_ratio": (0.0, 0.2)}
    grid, proposer = make(sampler, **small)
    seen = []
    while (index := proposer.next()) is not None:
        assert proposer.next() == index or sampler in ("tpe", "nsga2", "nsga3")
        seen.append(index)
        tell(proposer, grid.variant(index))
    assert sorted(seen) == list(range(grid.n_variants))
    assert proposer.n_left == 0


@given(
    sampler=st.sampled_from(["tpe", "nsga2", "nsga3", "random", "qmc", "grid"]),
    widths=st.lists(st.sampled_from([0.25, 0.4, 0.5, 0.75, 1.0]), min_size=1, max_size=3, unique=True),
    batch_sizes=st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 1000),
    fails=st.lists(st.booleans(), min_size=60, max_size=60),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_proposals_any_space_never_repeat_and_reach_every_variant(sampler, widths, batch_sizes, seed, fails):
    grid, proposer = make(sampler, seed, width=widths, batch_size=batch_sizes, pruning_ratio=(0.0,))
    proposer.observe(Variant(width=0.33), None, {})  # a baseline outside the space
    seen: set[int] = set()
    while (index := proposer.next()) is not None:
        assert index not in seen
        seen.add(index)
        if fails[len(seen)]:
            proposer.observe(grid.variant(index), None, {})
        else:
            tell(proposer, grid.variant(index))
    assert len(seen) == grid.n_variants


def test_proposals_huge_space_do_not_list_it():
    grid, proposer = make(
        "random", width=[i / 1000 for i in range(1, 1001)], pruning_ratio=[i / 1000 for i in range(900)]
    )
    assert grid.n_variants == 4_500_000
    tell(proposer, Variant())
    assert proposer.next() is not None


def hypervolume_of(sampler: str, seed: int) -> float:
    """The share of the objective space that the feasible ones of 60 trials dominate, in a space of 1540 variants."""
    levels = {"pruning_ratio": [i / 10 for i in range(7)], "exit_threshold": [i / 20 for i in range(10, 21)]}
    grid, _ = make(sampler, **levels)
    metrics = [known_metrics(grid.variant(index)) for index in proposals(sampler, 60, seed, **levels)]
    baseline = known_metrics(Variant())
    feasible = [m for m in metrics if all(c.violation(m, baseline) <= 0 for c in CONSTRAINTS)]
    reference = reference_point(baseline, OBJECTIVES, {"accuracy": 0.1})
    names = [objective.metric for objective in OBJECTIVES]
    points = [[m[name] for name in names] for m in feasible]
    return hypervolume(points, [o.direction for o in OBJECTIVES], [reference[name] for name in names])


def test_tpe_dominates_more_than_random_trials():
    seeds = range(4)
    assert sum(hypervolume_of("tpe", s) for s in seeds) > 1.01 * sum(hypervolume_of("random", s) for s in seeds)


def test_proposer_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="unknown sampler 'cmaes'"):
        make("cmaes")


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3"])
def test_sampler_generations_are_those_of_optuna(sampler):
    grid = Grid(small_space(), VOCABULARY)
    optuna_sampler = OptunaSampler(grid, ["maximize", "minimize", "minimize"], sampler, 0)
    for n_finished in range(2 * _POPULATION + 3):
        optuna_sampler.propose(n_finished, 0)  # asks Optuna, which labels the trial with its generation
        study = optuna_sampler._study
        ga = study.sampler
        assert isinstance(ga, optuna.samplers.BaseGASampler)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = ga.get_trial_generation(study, study.get_trials(deepcopy=False)[-1])
        optuna_sampler.add(Observation(n_finished, (0.5 + n_finished / 1000, 1.0, 1.0), {}))
        optuna_sampler._catch_up()
        added = ga.get_trial_generation(study, study.get_trials(deepcopy=False)[-1])
        assert asked == added == n_finished // _POPULATION
