import math
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from explorer.metrics import Constraint
from explorer.study.infeasibility import binding_constraint, nearest_infeasible, nothing_feasible_message

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))

MEMORY = Constraint("peak_memory_mib", "<=", 100.0)
SPEED = Constraint("latency_ms", "<=", 1.0)


def study(*amounts):
    """Trials with violations of (memory, speed)."""
    trials = [
        makers.make_trial(n, {"accuracy": 0.9}, violations={str(MEMORY): memory, str(SPEED): speed})
        for n, (memory, speed) in enumerate(amounts)
    ]
    return makers.make_result(trials, makers.make_space(constraints=(MEMORY, SPEED)))


def test_nearest_misses_are_ordered_by_the_excess_relative_to_the_bound():
    result = study((50.0, -0.5), (-10.0, 0.2), (90.0, 0.1), (math.inf, -1.0))
    assert [(miss.trial.number, miss.excess_ratio) for miss in nearest_infeasible(result, k=9)] == [
        (1, 0.2),
        (0, 0.5),
        (2, 0.9),
        (3, math.inf),
    ]


def test_nearest_misses_feasible_and_failed_trials_are_no_misses():
    assert nearest_infeasible(study((-1.0, -1.0))) == ()
    assert nearest_infeasible(makers.make_result([makers.make_trial(0, reason="no memory")])) == ()


def test_nearest_misses_where_counts_too():
    result = makers.make_small_result()
    misses = nearest_infeasible(result, k=1, where=[Constraint("latency_ms", "<=", 0.4)])
    assert [(miss.trial.number, miss.broken) for miss in misses] == [(2, {"latency_ms <= 0.4": 0.09999999999999998})]


def test_binding_constraint_is_the_one_that_most_break():
    binding = binding_constraint(study((50.0, -0.5), (5.0, 0.2), (90.0, -0.1)))
    assert (binding.constraint, binding.n_broken, binding.n_broken_alone, binding.n_measured) == (str(MEMORY), 3, 2, 3)


def test_binding_constraint_tie_goes_to_the_one_that_excludes_alone():
    assert binding_constraint(study((5.0, 0.2), (-1.0, 0.2), (5.0, -1.0), (5.0, 0.1), (-1.0, 0.2))).constraint == str(
        SPEED
    )


def test_binding_constraint_nothing_broken_is_none():
    assert binding_constraint(study((-1.0, -1.0))) is None


def test_nothing_feasible_message_names_the_constraint_and_the_misses():
    message = nothing_feasible_message(study((50.0, -0.5), (math.inf, 0.2)))
    assert "`peak_memory_mib <= 100` is broken by 2 of 2 measured trials" in message
    assert "trial 0: `peak_memory_mib <= 100` by 50 MiB" in message
    assert "cannot be judged" in message


def test_nothing_feasible_message_all_failed_says_so():
    message = nothing_feasible_message(makers.make_result([makers.make_trial(0, reason="no memory")]))
    assert message == "no trial of 1 has a result that could be on the front (1 failed)"


def test_nothing_feasible_message_counts_invalid_trials_and_does_not_call_them_near():
    bound = Constraint("latency_ms", "<=", 1.0)
    trial = makers.make_trial(0, {"accuracy": 0.9, "latency_ms": 2.0}, violations={str(bound): 1.0})
    message = nothing_feasible_message(makers.make_result([replace(trial, state="invalid")]))
    assert message == "no trial of 1 has a result that could be on the front (0 failed, 1 invalid)"
