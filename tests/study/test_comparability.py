from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fakes import small_space

from explorer.models.identity import Description, Step
from explorer.study.comparability import comparability_key, identity_difference, identity_of
from explorer.study.evaluation import Prepared
from explorer.system import environment
from explorer.typed_json import to_json

PREPARED = Prepared({"data": {"fingerprint": "d0"}, "versions": ("2.15", "1.31")}, {})


def test_world_key_is_the_same_for_what_does_not_change_a_measurement():
    key = comparability_key(small_space(), PREPARED)
    assert key == comparability_key(small_space("other", n_trials=99, sampler="tpe", seed=5, width=(0.5,)), PREPARED)
    assert key == comparability_key(small_space(), replace(PREPARED, provenance={"host": "y"}))


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
    assert comparability_key(small_space(), PREPARED) != comparability_key(replace(small_space(), **change), PREPARED)


def test_world_key_changes_with_the_identity():
    other = replace(PREPARED, identity={**PREPARED.identity, "torch": "3"})
    assert comparability_key(small_space(), PREPARED) != comparability_key(small_space(), other)


def test_identity_of_one_processor_without_some_instructions_is_another(monkeypatch):
    """A virtual machine may hide them behind the same name: its int8 weights have another range."""
    identities = []
    for instructions in (["avx2", "avx512_vnni"], ["avx2"], []):
        here = {**environment.processor(), "instructions": instructions}
        monkeypatch.setattr(environment, "processor", lambda here=here: here)
        identities.append(identity_of({"data": {}, "weights": {"fingerprint": "w0"}}))
    full, reduced, none = identities
    assert identity_difference(full, reduced) == ["instructions: avx2, avx512_vnni -> avx2"]
    assert identity_difference(reduced, none) == ["instructions: avx2 -> none"]


def test_identity_difference_names_what_changed_appeared_and_vanished():
    old = {"data": {"fingerprint": "d0", "kind": "tree"}, "gone": 1, "versions": ("2.15",)}
    new = {"data": {"fingerprint": "d1", "kind": "tree"}, "new": 2, "versions": ["2.15"]}
    assert identity_difference(old, new) == [
        "data.fingerprint: d0 -> d1",
        "gone: 1 -> nothing",
        "new: nothing -> 2",
    ]
    assert identity_difference(old, old) == []


NETWORK = Description({"head.weight": "parameter float32[4] aa"}, {}, {}, (Step("aten.relu.default(images)"),), ())


def test_identity_difference_of_described_networks_says_what_of_them_differs(tmp_path):
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    changed = replace(NETWORK, tensors={"head.weight": "parameter float32[4] bb"}, graph=())
    for file, network in zip(files, (NETWORK, changed), strict=True):
        file.write_text(json.dumps(to_json(network)))
    old, new = {"data": "d", "weights": "w0", "software": "s0"}, {"data": "d", "weights": "w1", "software": "s1"}

    assert identity_difference(old, new, tuple(files)) == [
        "the network: head.weight differs; "
        "the graph differs at operation 1: it was aten.relu.default(images) and is nothing",
        "software: s0 -> s1",
    ]
    assert identity_difference(old, new, (files[0], tmp_path / "none")) == ["weights: w0 -> w1", "software: s0 -> s1"]
    assert identity_difference(old, old, tuple(files)) == []
