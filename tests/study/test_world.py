from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import small_space

from explorer.study.evaluation import Prepared
from explorer.study.world import identity_difference, world_key

PREPARED = Prepared(10, {"data": {"fingerprint": "d0"}, "versions": ("2.15", "1.31")}, {})


def test_world_key_is_the_same_for_what_does_not_change_a_measurement():
    key = world_key(small_space(), PREPARED)
    assert key == world_key(small_space("other", n_trials=99, sampler="tpe", seed=5, width=(0.5,)), PREPARED)
    assert key == world_key(small_space(), replace(PREPARED, provenance={"host": "y"}))


@pytest.mark.parametrize(
    "change",
    [
        {"recovery_steps": 11},
        {"recipe": "long"},
        {"device": replace(small_space().device, hardware_usd_per_hour=1.0)},
        {"data": replace(small_space().data, validation=7)},
    ],
)
def test_world_key_changes_with_what_changes_a_measurement(change):
    assert world_key(small_space(), PREPARED) != world_key(replace(small_space(), **change), PREPARED)


def test_world_key_changes_with_the_identity():
    other = replace(PREPARED, identity={**PREPARED.identity, "torch": "3"})
    assert world_key(small_space(), PREPARED) != world_key(small_space(), other)


def test_identity_difference_names_what_changed_appeared_and_vanished():
    old = {"data": {"fingerprint": "d0", "kind": "tree"}, "gone": 1, "versions": ("2.15",)}
    new = {"data": {"fingerprint": "d1", "kind": "tree"}, "new": 2, "versions": ["2.15"]}
    assert identity_difference(old, new) == [
        "data.fingerprint: d0 -> d1",
        "gone: 1 -> nothing",
        "new: nothing -> 2",
    ]
    assert identity_difference(old, old) == []
