"""Validity: each planted fault has its reason, and a quiet measurement has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from explorer.measure.validity import Observed, reasons
from explorer.observation import Conditions

QUIET = Observed(
    threads=1,
    cores=(1,),
    conditions=Conditions(1.3, 0.0, 0.01, 1, (1,), 0.0),
    processor_share=0.995,
    longest_stop_s=0.004,
    dispersion=0.01,
    sensitivity=1.0,
    n_answers=200,
    n_different=0,
    still_s={"load": 0.02, "warm-up": 0.0},
)


def test_reasons_quiet_measurement_has_none():
    assert reasons(QUIET) == ()
    assert reasons(replace(QUIET, conditions=replace(QUIET.conditions, steal_ratio=None, others_ratio=None))) == ()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"longest_stop_s": 0.3}, "the clock has a gap: it stood still for 0.30 s"),
        ({"processor_share": 0.5}, "others had its core for 50% of the time"),
        ({"dispersion": 0.4}, "the anchor's windows differ by 40%"),
        ({"still_s": {"start": 0.0, "load": 0.3}}, "its load has a gap: it stood still for 0.30 s"),
        ({"n_different": 3}, "3 of 200 answers given while timing are not those of the accuracy pass"),
    ],
)
def test_reasons_fault_of_the_process_is_said(fault, said):
    (reason,) = reasons(replace(QUIET, **fault))
    assert said in reason.sentence


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"suspended_s": 30.0}, "it stood still for 30.00 s"),
        ({"steal_ratio": 0.2}, "the hypervisor took 20%"),
        ({"others_ratio": 0.3}, "other processes used 30%"),
        ({"n_working": 2}, "2 threads worked, and 1 were asked for"),
        ({"cores": (0, 1)}, r"it ran on cores [0, 1], and cores [1] were asked for"),
    ],
)
def test_reasons_fault_of_the_machine_is_said(fault, said):
    (reason,) = reasons(replace(QUIET, conditions=replace(QUIET.conditions, **fault)))
    assert said in reason.sentence


@pytest.mark.parametrize(("sensitivity", "is_felt"), [(0.0, False), (0.4, False), (0.6, True), (1.0, True)])
def test_reasons_unsteady_anchor_counts_as_far_as_the_variant_feels_it(sensitivity, is_felt):
    found = reasons(replace(QUIET, dispersion=0.4, sensitivity=sensitivity))
    assert bool(found) == is_felt
    if is_felt:
        assert f"and the variant feels {sensitivity:.0%} of it" in found[0].sentence


def test_reasons_contended_core_is_said_once():
    seen = replace(QUIET, processor_share=0.6, conditions=replace(QUIET.conditions, others_ratio=0.4))
    assert len(reasons(seen)) == 1


def test_reasons_every_fault_is_said():
    conditions = Conditions(1.3, 0.5, 0.5, 3, (0,), 0.0)
    seen = Observed(1, (1,), conditions, 0.4, 0.5, 0.9, 1.0, 100, 100, {"load": 0.3, "warm-up": 0.3})
    assert len(reasons(seen)) == 9
