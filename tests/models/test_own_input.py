"""Networks of the user's own that differ only in the pixels that they get: other networks, with other names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from explorer.models.network import StagedNetwork, normalization_of
from explorer.models.own import load_own
from explorer.records import Variant
from explorer.space.input_spec import read_input

SOURCE = """\
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 4))
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some_data):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "network_of_some_input.py").write_text(SOURCE)
    return lambda raw: load_own("network_of_some_input:make", some_data((3, 4, 4), *read_input(raw).statistics(3)))


def test_fingerprint_is_another_for_another_input(load):
    stated = ["unit", "raw", "imagenet", {"mean": [0.5] * 3, "std": [0.5] * 3}, {"mean": [0.5] * 3, "std": [0.25] * 3}]
    assert len({load(raw).fingerprint for raw in stated}) == len(stated)


def test_fingerprint_is_the_same_for_the_same_pixels(load):
    assert load("unit").fingerprint == load({"mean": [0, 0, 0], "std": [1, 1, 1]}).fingerprint


@pytest.mark.parametrize("raw", ["unit", "raw", "imagenet"])
def test_normalization_of_is_that_of_the_graph(load, raw):
    mean, std = read_input(raw).statistics(3)
    assert normalization_of(load(raw).materialize(Variant())) == (
        pytest.approx(mean, rel=1e-6),
        pytest.approx(std, rel=1e-6),
    )


def test_normalization_of_a_network_without_one_is_refused():
    with pytest.raises(LookupError, match="without a Normalize"):
        normalization_of(StagedNetwork([torch.nn.Linear(2, 2)]))
