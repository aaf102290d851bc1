"""The registry of families: every entry can be built, and asking needs no torch."""

import importlib
import subprocess
import sys

import pytest
import torch

from explorer.errors import ModelError
from explorer.models.recipes import RECIPES
from explorer.models.registry import FAMILIES, traits


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_family_traits_hold_for_what_the_family_builds(name: str) -> None:
    facts = traits(name)
    network = importlib.import_module(FAMILIES[name]).build(7, (3, 16, 16), [1.0] * 3, [2.0] * 3)
    images = torch.zeros((2, 3, 16, 16), dtype=torch.uint8)

    plain = network.materialise((facts.min_width,) * facts.n_stages)
    assert (len(plain.segments) > 1) == facts.has_exits
    assert all(logits.shape == (2, 7) for logits in plain(images))
    assert set(facts.recipes) == set(RECIPES)
    with pytest.raises(ValueError, match="width"):
        network.materialise(facts.min_width / 2)


def test_traits_unknown_family_suggests_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'slimmable_cnn'"):
        traits("slimable_cnn")


@pytest.mark.parametrize("module", ["registry", "recipes", "base", "training_data"])
def test_import_of_what_the_coordinator_asks_loads_no_torch(module: str) -> None:
    code = f"import sys, explorer.models.{module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
