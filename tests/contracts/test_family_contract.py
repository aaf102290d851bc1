"""What every registered model family promises."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from explorer.build.count import mega_macs, n_parameters
from explorer.build.prune import prune
from explorer.models.network import ExitSegment, recalibrate
from explorer.models.registry import FAMILIES, family_named

SHAPES = [(3, 32, 32), (1, 8, 8)]
N_CLASSES = 7


def base(name: str, shape: tuple[int, int, int]):
    torch.manual_seed(0)
    mean, std = [120.0] * shape[0], [60.0] * shape[0]
    return family_named(name).build(N_CLASSES, shape, mean, std)


def has_exits(name: str) -> bool:
    specs = family_named(name).traits.parameters
    return any(spec.name == "exit_threshold" and not spec.expected(0.5) for spec in specs)


def some_images(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randint(0, 256, (64, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[(name, shape) for name in FAMILIES for shape in SHAPES], ids=str)
def family(request):
    return request.param


def test_family_every_width_answers_at_every_exit(family):
    name, shape = family
    rule = family_named(name).widths
    network = base(name, shape)
    widths = [rule.minimum, 0.6, 1.0, tuple([1.0] * (rule.n_stages - 1) + [rule.minimum])]
    for width in widths:
        plain = network.materialize(width)
        exits = plain(some_images(shape)[:3])
        assert [tuple(logits.shape) for logits in exits] == [(3, N_CLASSES)] * len(plain.segments)
        assert (len(exits) > 1) == has_exits(name)
        assert all(isinstance(segment, ExitSegment) for segment in plain.segments[:-1])


def test_family_wider_is_larger(family):
    name, shape = family
    network, image = base(name, shape), some_images(shape)[:1]
    sizes = [network.materialize(width) for width in (family_named(name).widths.minimum, 0.5, 1.0)]
    assert all(n_parameters(a) < n_parameters(b) for a, b in pairwise(sizes))
    assert all(sum(mega_macs(a, image)) < sum(mega_macs(b, image)) for a, b in pairwise(sizes))


def test_family_without_exits_gives_the_final_logits(family):
    name, shape = family
    plain = base(name, shape).materialize(1.0)
    with torch.no_grad():
        (cut,) = plain.without_exits()(some_images(shape)[:4])
        assert torch.equal(cut, plain(some_images(shape)[:4])[-1])


def test_family_recalibrated_network_is_normalized_on_these_images(family):
    """After recalibration, evaluation on the same images is what batch statistics give, up to the batches' own."""
    name, shape = family
    plain = base(name, shape).materialize(family_named(name).widths.minimum)
    images = some_images(shape)
    with torch.no_grad():
        before = plain(images)[-1]
        recalibrate(plain, images, batch_size=len(images))
        after = plain(images)[-1]
        expected = plain.train()(images)[-1]
    assert float((after - expected).abs().mean()) < 0.05 * float(expected.abs().mean())
    assert not torch.equal(before, after)


def test_family_can_be_pruned_and_still_answers(family):
    name, shape = family
    pruned = prune(base(name, shape).materialize(1.0), 0.5, some_images(shape)[:2])
    assert [tuple(logits.shape) for logits in pruned.eval()(some_images(shape)[:2])] == [(2, N_CLASSES)] * len(
        pruned.segments
    )
