"""What every registered sampler promises: variants of the space, each once, the same ones for the same seed."""

from __future__ import annotations

import pytest

from explorer.study.search.grid import Grid
from explorer.study.search.proposer import Proposer
from explorer.study.vocabulary import SAMPLERS, vocabulary

SPACE = """\
name: sampled
model: slimmable_cnn
data: {name: digits}
parameters:
  width: [0.25, 0.5, 1.0]
  quantization: [none, dynamic_int8, static_int8]
  runtime: [eager, onnxruntime]
objectives: {accuracy: maximize, latency_ms: minimize}
constraints: [accuracy >= 0.2]
"""


@pytest.fixture
def grid(tmp_path) -> Grid:
    from explorer.space.read import load_space

    file = tmp_path / "sampled.yaml"
    file.write_text(SPACE)
    return Grid(load_space(file, vocabulary()), vocabulary())


def proposals(grid: Grid, sampler: str, seed: int, n: int) -> list[int]:
    """The first `n` proposals, each answered with values that depend on the variant alone."""
    proposer = Proposer(grid, ["maximize", "minimize"], sampler, seed)
    made: list[int] = []
    for _ in range(n):
        index = proposer.next()
        if index is None:
            break
        variant = grid.variant(index)
        accuracy, latency_ms = variant["width"], variant["width"] * (1 + 3 * (variant["runtime"] == "eager"))
        proposer.observe(variant, (accuracy, latency_ms), {"accuracy >= 0.2": 0.2 - accuracy})
        made.append(index)
    return made


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_proposes_every_variant_exactly_once_and_then_none(grid, sampler):
    made = proposals(grid, sampler, 0, grid.n_variants + 5)
    assert sorted(made) == list(range(grid.n_variants))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_same_seed_proposes_the_same_and_other_seeds_do_not(grid, sampler):
    first = proposals(grid, sampler, 0, 12)
    assert proposals(grid, sampler, 0, 12) == first
    assert any(proposals(grid, sampler, seed, 12) != first for seed in (1, 2))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_never_proposes_what_a_runtime_cannot_execute(grid, sampler):
    words = vocabulary()
    variants = [grid.variant(index) for index in proposals(grid, sampler, 0, grid.n_variants)]
    assert all(words.is_supported(variant["runtime"], variant["quantization"]) for variant in variants)
    assert ("eager", "static_int8") not in {(variant["runtime"], variant["quantization"]) for variant in variants}
