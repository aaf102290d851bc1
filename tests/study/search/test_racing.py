import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.metrics import Constraint
from explorer.records import Measurement, Variant
from explorer.study.search.racing import Racing, always

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "views" / "makers.py")))


def metrics(accuracy, latency, cost=0.02, memory=100.0):
    values = {"accuracy": accuracy, "latency_ms": latency, "cost_usd_per_million": cost, "peak_memory_mib": memory}
    return {name: v if isinstance(v, Measurement) else Measurement(v) for name, v in values.items()}


def beside(result):
    worth = Racing(result.space)
    for trial in result.trials:
        worth.add(trial)
    return worth.rule()


@pytest.mark.parametrize(
    ("measured", "is_worth"),
    [
        (metrics(0.85, 2.0, 0.05), False),  # dominated by trial 1
        (metrics(0.85, Measurement(2.0, 1.0, 3.0), 0.05), False),  # as fast at best, but neither cheaper nor better
        (metrics(0.85, Measurement(2.0, 0.9, 3.0), 0.05), True),
        (metrics(0.85, Measurement(1.1, 0.9, 1.3), 0.019), True),
        (metrics(Measurement(0.89, 0.87, 0.91), 1.0), True),
        (metrics(0.95, 0.1, 0.001, 1001.0), False),  # breaks the bound of memory
        (metrics(0.95, 0.1, 0.001, Measurement(1001.0, 999.0, 1003.0)), True),
        (metrics(0.85, Measurement.unknown("64 queries are needed"), 0.05), True),
        ({"accuracy": Measurement(0.1)}, True),
    ],
)
def test_rule_is_what_may_reach_the_front(measured, is_worth):
    assert beside(makers.make_small_result())(measured) is is_worth


def test_rule_invalid_and_infeasible_trials_dominate_nobody():
    """Trial 4 would, but it is infeasible."""
    assert beside(makers.make_small_result())(metrics(0.94, 0.2, 0.002))


def test_rule_relative_bound_is_judged_by_the_baseline():
    space = makers.make_space(constraints=(Constraint("accuracy", ">=", 0.95, is_relative=True),))
    result = makers.make_result(makers.make_small_result().trials, space)
    assert not beside(result)(metrics(0.87, 0.01, 0.0001))
    assert beside(result)(metrics(Measurement(0.87, 0.86, 0.88), 0.01, 0.0001))


def test_rule_of_the_baseline_is_always():
    assert always({})


LEVELS = st.integers(1, 4).map(float)


@given(rows=st.lists(st.tuples(LEVELS, LEVELS, LEVELS), max_size=30), new=st.tuples(LEVELS, LEVELS, LEVELS))
def test_rule_any_trials_is_that_none_of_them_all_dominates(rows, new):
    """Levels are few, so that ties and duplicates come about."""
    names = ("accuracy", "latency_ms", "cost_usd_per_million")
    trials = [makers.make_trial(i, dict(zip(names, row, strict=True)), Variant()) for i, row in enumerate(rows)]
    accuracy, latency, cost = new
    is_dominated = any(row != new and row[0] >= accuracy and row[1] <= latency and row[2] <= cost for row in rows)
    assert beside(makers.make_result(trials))(metrics(*new)) is not is_dominated
