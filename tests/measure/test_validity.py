"""Validity: each planted fault has its reason, and a quiet measurement has none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import make_observation

from explorer.measure import conditions
from explorer.observation import Conditions, Observation, Phase, Reason

QUIET = make_observation(
    processor_share=0.995,
    conditions=Conditions(1.3, 0.0, 0.01, 1, (1,), 0.0),
    phases={"load": Phase(0.5, 0.48, 0.0, 0.0, False), "warm-up": Phase(0.5, 0.1, 0.0, 0.0, True)},
)


def reasons(
    seen: Observation, longest_stop_s: float = 0.004, n_different: int = 0, threads: int = 2
) -> tuple[Reason, ...]:
    return tuple(conditions.reasons(seen, threads, longest_stop_s, n_different))


def test_reasons_quiet_measurement_has_none():
    assert reasons(QUIET) == ()
    assert reasons(replace(QUIET, conditions=replace(QUIET.conditions, steal_ratio=None, others_ratio=None))) == ()


STOPPED = Phase(1.3, 1.0, 0.0, 0.0, True)


@pytest.mark.parametrize(
    ("changed", "fault", "said"),
    [
        ({}, {"longest_stop_s": 0.3}, "the clock has a gap: it stood still for 0.30 s"),
        ({"processor_share": 0.5}, {}, "others had its core for 50% of the time"),
        ({"phases": {"load": STOPPED}}, {}, "its load has a gap: it stood still for 0.30 s"),
        ({}, {"n_different": 3}, "3 of 200 answers given while timing are not those of the accuracy pass"),
    ],
)
def test_reasons_fault_of_the_process_is_said(changed, fault, said):
    (reason,) = reasons(replace(QUIET, **changed), **fault)
    assert said in reason.sentence


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"suspended_s": 30.0}, "it stood still for 30.00 s"),
        ({"steal_ratio": 0.2}, "the hypervisor took 20%"),
        ({"others_ratio": 0.3}, "other processes used 30%"),
        ({"n_working": 3}, "3 threads worked, and 2 were asked for"),
        ({"cores": (0, 1)}, r"it ran on cores [0, 1], and cores [1] were asked for"),
    ],
)
def test_reasons_fault_of_the_machine_is_said(fault, said):
    (reason,) = reasons(replace(QUIET, conditions=replace(QUIET.conditions, **fault)))
    assert said in reason.sentence


def test_reasons_others_that_left_one_thread_its_core_are_none():
    seen = replace(QUIET, conditions=replace(QUIET.conditions, others_ratio=0.4, steal_ratio=0.2))
    assert reasons(seen, threads=1) == ()


def test_reasons_contended_core_is_said_once():
    seen = replace(QUIET, processor_share=0.6, conditions=replace(QUIET.conditions, others_ratio=0.4))
    assert len(reasons(seen)) == 1


def test_reasons_every_fault_is_said():
    conditions = Conditions(1.3, 0.5, 0.5, 3, (0,), 0.0)
    seen = replace(QUIET, conditions=conditions, processor_share=0.4, phases=dict.fromkeys(("load", "start"), STOPPED))
    assert len(reasons(seen, 0.5, 100)) == 8
