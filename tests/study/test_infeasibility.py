import math
import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from explorer.metrics import Constraint
from explorer.study.infeasibility import nothing_feasible_message

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


def misses(result, where=()):
    """The numbers of the nearest trials, in their order."""
    return [int(number) for number in re.findall(r"^  trial (\d+):", nothing_feasible_message(result, where), re.M)]


def test_nearest_misses_are_ordered_by_the_excess_relative_to_the_bound():
    assert misses(study((50.0, -0.5), (-10.0, 0.2), (90.0, 0.1), (math.inf, -1.0))) == [1, 0, 2]
    assert misses(study((math.inf, -1.0), (50.0, -0.5))) == [1, 0]


def test_nearest_misses_feasible_and_failed_trials_are_no_misses():
    assert misses(study((-1.0, -1.0))) == []
    assert misses(makers.make_result([makers.make_trial(0, reason="no memory")])) == []


def test_nearest_misses_where_counts_too():
    message = nothing_feasible_message(makers.make_small_result(), [Constraint("latency_ms", "<=", 0.4)])
    assert "trial 2: `latency_ms <= 0.4` by 0.1 ms" in message


def test_binding_constraint_is_the_one_that_most_break():
    message = nothing_feasible_message(study((50.0, -0.5), (5.0, 0.2), (90.0, -0.1)))
    assert f"`{MEMORY}` is broken by 3 of 3 measured trials, 2 of which break nothing else" in message


def test_binding_constraint_tie_goes_to_the_one_that_excludes_alone():
    message = nothing_feasible_message(study((5.0, 0.2), (-1.0, 0.2), (5.0, -1.0), (5.0, 0.1), (-1.0, 0.2)))
    assert f"constraint: `{SPEED}` is broken by 4 of 5" in message


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
