"""Pruning keeps exits and classes, rounds to eights, takes the weakest channels, and leaves what it cannot take."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.build.effects import Sizes
from explorer.build.prune import prune
from explorer.errors import VariantFailed
from explorer.models.network import Normalize, StagedNetwork
from explorer.models.slimmable_cnn import build

SHAPE = (3, 16, 16)
IMAGES = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def network(width=1.0):
    torch.manual_seed(0)
    return build(10, SHAPE, [120.0] * 3, [60.0] * 3).materialize(width)


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("width", [1.0, 0.5, (0.25, 1.0, 0.5)])
@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6])
def test_prune_channels_are_the_nearest_multiple_of_eight(width, ratio):
    full = network(width)
    pruned = prune(full, ratio, IMAGES)
    for before, after in zip(convolutions(full), convolutions(pruned), strict=True):
        expected = max(8, round(before.out_channels * (1 - ratio) / 8) * 8)
        assert after.out_channels == min(expected, before.out_channels)


def test_prune_layers_too_small_for_a_multiple_of_eight_have_the_nearest_number():
    torch.manual_seed(0)
    pruned = prune(own(chain(conv(3, 8), conv(8, 12), head(12))), 0.1, IMAGES)
    assert [layer.out_channels for layer in convolutions(pruned)] == [8, 8]
    pruned = prune(own(chain(conv(3, 8), conv(8, 8), head(8))), 0.3, IMAGES)
    assert [layer.out_channels for layer in convolutions(pruned)] == [6, 6]


def test_prune_network_still_answers_at_every_exit_and_the_original_is_untouched():
    full = network()
    before = {name: tensor.clone() for name, tensor in full.state_dict().items()}
    pruned = prune(full, 0.5, IMAGES)
    assert [tuple(logits.shape) for logits in pruned(torch.zeros(2, *SHAPE, dtype=torch.uint8))] == [(2, 10)] * 3
    assert sum(p.numel() for p in pruned.parameters()) < 0.4 * sum(p.numel() for p in full.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in full.state_dict().items())


def test_prune_takes_the_channels_with_the_least_weight():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 16, 3, bias=False), nn.Conv2d(16, 16, 3, bias=False)
    with torch.no_grad():
        first.weight[3:11] *= 1e-3
        second.weight[:, 3:11] *= 1e-3
    plain = own(nn.Sequential(first, nn.ReLU(), second, nn.Flatten(), nn.Linear(16 * 144, 10)))
    pruned = prune(plain, 0.5, IMAGES)
    kept = torch.cat([first.weight[:3], first.weight[11:]])
    assert torch.equal(convolutions(pruned)[0].weight, kept)


# Networks of a user's own, for which the dependencies are guessed and every removal is tried.


class Made(nn.Module):
    """A module whose forward is a function of itself and its input."""

    def __init__(self, forward: Callable[[Made, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, images: Tensor) -> Tensor:
        return self._forward(self, images)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [b, c, h, w]."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def own(module: nn.Module) -> StagedNetwork:
    return StagedNetwork([nn.Sequential(Normalize([120.0] * 3, [60.0] * 3), module)]).eval()


def conv(n_in: int, n_out: int, **settings: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, padding=1, **settings)


def head(n: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, 10))


def chain(*modules: nn.Module) -> nn.Sequential:
    """The modules, with rectified features in between."""
    return nn.Sequential(*[part for module in modules for part in (module, nn.ReLU())][:-1])


def frozen() -> nn.Module:
    return chain(conv(3, 32), conv(32, 64), head(64)).requires_grad_(False)


def one_dimensional() -> nn.Module:
    pooled = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 10))
    return nn.Sequential(nn.Flatten(2), chain(nn.Conv1d(3, 32, 3), nn.Conv1d(32, 64, 3), pooled))


def three_dimensional() -> nn.Module:
    pooled = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, 10))
    return nn.Sequential(nn.Unflatten(1, (3, 1)), chain(nn.Conv3d(3, 32, 1), nn.Conv3d(32, 32, 1), pooled))


def transposed() -> nn.Module:
    return chain(conv(3, 32), nn.ConvTranspose2d(32, 48, 2, 2), conv(48, 32), head(32))


def grouped() -> nn.Module:
    return chain(conv(3, 32), conv(32, 64, groups=4), conv(64, 64, groups=8), head(64))


def depthwise() -> nn.Module:
    return chain(
        conv(3, 32), nn.Sequential(conv(32, 32, groups=32), nn.BatchNorm2d(32)), nn.Conv2d(32, 64, 1), head(64)
    )


def convolution_as_classifier() -> nn.Module:
    return nn.Sequential(chain(conv(3, 32), nn.Conv2d(32, 10, 1)), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def squeeze_net_head() -> nn.Module:
    def fire(module: Made, features: Tensor) -> Tensor:
        squeezed = module.squeeze(features).relu()
        return torch.cat([module.one(squeezed), module.three(squeezed)], 1)

    expanded = Made(fire, squeeze=nn.Conv2d(32, 16, 1), one=nn.Conv2d(16, 32, 1), three=conv(16, 32))
    return nn.Sequential(chain(conv(3, 32), expanded, nn.Conv2d(64, 10, 1), nn.AdaptiveAvgPool2d(1)), nn.Flatten())


def two_heads_in_one() -> nn.Module:
    body = nn.Sequential(conv(3, 32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Made(
        lambda m, x: torch.cat([m.a(f := m.body(x)), m.b(f)], 1)[:, 6:16],
        body=body,
        a=nn.Linear(32, 16),
        b=nn.Linear(32, 16),
    )


def classifier_in_a_wrapper() -> nn.Module:
    wrapper = Made(lambda m, x: F.log_softmax(2.0 * m.linear(x), 1), linear=nn.Linear(32, 10))
    return nn.Sequential(chain(conv(3, 32), nn.AdaptiveAvgPool2d(1)), nn.Flatten(), wrapper)


def hidden_layer_of_as_many_outputs() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 10), nn.ReLU(), nn.Linear(10, 10))


def normalized() -> nn.Module:
    return chain(
        nn.Sequential(conv(3, 32), ChannelNorm(32)), nn.Sequential(conv(32, 64), nn.GroupNorm(8, 64)), head(64)
    )


def attention() -> nn.Module:
    def attend(module: Made, images: Tensor) -> Tensor:
        tokens = module.patches(images).flatten(2).transpose(1, 2) + module.place(torch.arange(16))
        tokens = tokens + module.attention(tokens, tokens, tokens, need_weights=False)[0]
        return module.head((tokens + module.mlp(module.norm(tokens))).mean(1))

    return Made(
        attend,
        patches=nn.Conv2d(3, 32, 4, 4),
        place=nn.Embedding(16, 32),
        attention=nn.MultiheadAttention(32, 4, batch_first=True),
        norm=nn.LayerNorm(32),
        mlp=nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)),
        head=nn.Linear(32, 10),
    )


def one_module_twice() -> nn.Module:
    shared = conv(32, 32)
    return chain(conv(3, 32), shared, shared, head(32))


WHOLE = [
    frozen,
    one_dimensional,
    three_dimensional,
    transposed,
    grouped,
    depthwise,
    convolution_as_classifier,
    squeeze_net_head,
    two_heads_in_one,
    classifier_in_a_wrapper,
    hidden_layer_of_as_many_outputs,
    normalized,
    attention,
    one_module_twice,
]


@pytest.mark.parametrize("make", WHOLE, ids=lambda make: make.__name__)
def test_prune_own_network_every_layer_is_smaller_and_every_class_is_left(make):
    torch.manual_seed(0)
    whole = own(make())
    pruned = prune(whole, 0.5, IMAGES)
    before, after = Sizes.of(whole), Sizes.of(pruned)
    assert all(after.layers[name] != shape for name, shape in before.layers.items())
    assert [tuple(logits.shape) for logits in pruned(torch.zeros(3, *SHAPE, dtype=torch.uint8))] == [(3, 10)]
    flags = {p.requires_grad for p in whole.parameters()}
    assert {p.requires_grad for p in pruned.parameters()} == flags


def fixed_shuffle() -> nn.Module:
    def shuffle(module: Made, features: Tensor) -> Tensor:
        b, _, h, w = features.shape
        return module.after(features.view(b, 4, 8, h, w).transpose(1, 2).reshape(b, 32, h, w))

    return chain(conv(3, 32), conv(32, 32), Made(shuffle, after=conv(32, 32)), head(32))


def shuffle_of_any_size() -> nn.Module:
    def shuffle(module: Made, features: Tensor) -> Tensor:
        b, c, h, w = features.shape
        return module.after(features.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w))

    return chain(conv(3, 32), conv(32, 32), Made(shuffle, after=conv(32, 32)), head(32))


def heads_by_reshape() -> nn.Module:
    def attend(module: Made, images: Tensor) -> Tensor:
        tokens = module.patches(images).flatten(2).transpose(1, 2)
        b, n, c = tokens.shape
        q, k, v = module.qkv(tokens).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
        tokens = tokens + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
        return module.head((tokens + module.mlp(tokens)).mean(1))

    mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
    return Made(attend, patches=nn.Conv2d(3, 32, 4, 4), qkv=nn.Linear(32, 96), mlp=mlp, head=nn.Linear(32, 10))


def split_in_halves() -> nn.Module:
    halves = Made(lambda m, x: torch.cat([x[:, :16], m.right(x[:, 16:])], 1), right=conv(16, 16))
    return chain(conv(3, 32), halves, conv(32, 32), head(32))


def own_norm() -> nn.Module:
    norm = Made(lambda m, x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt())
    return chain(nn.Sequential(conv(3, 32), norm), conv(32, 32), head(32))


def detached() -> nn.Module:
    body = nn.Sequential(conv(3, 32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    a = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
    return Made(lambda m, x: m.a(f := m.body(x)) + m.b(f.detach()), body=body, a=a, b=nn.Linear(32, 10))


PARTLY = [fixed_shuffle, shuffle_of_any_size, heads_by_reshape, split_in_halves, own_norm, detached]


@pytest.mark.parametrize("make", PARTLY, ids=lambda make: make.__name__)
def test_prune_removes_what_can_go_where_some_layers_cannot_be_pruned(make):
    torch.manual_seed(0)
    whole = own(make())
    pruned = prune(whole, 0.5, IMAGES)
    assert Sizes.of(pruned).n_parameters < Sizes.of(whole).n_parameters
    assert [tuple(logits.shape) for logits in pruned(torch.zeros(3, *SHAPE, dtype=torch.uint8))] == [(3, 10)]


@pytest.mark.parametrize("make", [shuffle_of_any_size, split_in_halves, squeeze_net_head, grouped])
def test_prune_removes_the_same_channel_wherever_it_is_used(make):
    """Channels whose weights are zero everywhere are the ones that go, and the outputs stay as they are."""
    torch.manual_seed(0)
    whole = own(make())
    with torch.no_grad():
        for layer in convolutions(whole):
            if layer.out_channels > 10:
                n_zero = layer.out_channels // 16  # half of each block of a layer in up to 8 groups
                layer.weight.view(8, -1, *layer.weight.shape[1:])[:, :n_zero] = 0.0
                layer.bias.view(8, -1)[:, :n_zero] = 0.0
    images = torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(prune(whole, 0.5, IMAGES)(images)[0], whole(images)[0], rtol=1e-4, atol=1e-5)


def switched_off(context: Callable[[], object]) -> nn.Module:
    def forward(module: Made, images: Tensor) -> Tensor:
        with context():  # type: ignore[attr-defined]
            return module.body(images)

    return Made(forward, body=chain(conv(3, 32), head(32)))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: switched_off(torch.no_grad), "switches gradients off"),
        (lambda: switched_off(torch.inference_mode), "switches gradients off"),
        (lambda: chain(conv(3, 8), nn.GroupNorm(8, 8), head(8)), "so few channels"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 10)), "network's outputs"),
        (lambda: chain(nn.Sequential(conv(3, 32), nn.LayerNorm([32, 16, 16])), head(32)), "IndexError"),
    ],
    ids=["no_grad", "inference_mode", "few channels", "outputs alone", "norm over positions"],
)
def test_prune_nothing_that_can_go_fails_and_names_the_layers(make, why):
    whole = own(make())
    with pytest.raises(VariantFailed, match=why) as found:
        prune(whole, 0.5, IMAGES)
    last = list(Sizes.of(whole).layers)[-1].removeprefix("segments.0.1.")
    assert found.value.kind == "nothing pruned"
    assert f"{last})" in str(found.value)
    assert "cannot be pruned" in str(found.value)


class Bare(nn.Module):
    """Weights without a layer around them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(10, 768))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.linear(images.flatten(1), self.weight)


def test_prune_a_network_without_layers_of_torch_nn_explains_that():
    with pytest.raises(VariantFailed, match=r"cannot be pruned, it has no convolution or linear layer of torch\.nn\."):
        prune(own(Bare()), 0.5, IMAGES)


def test_prune_shared_weights_stay_shared():
    torch.manual_seed(0)
    first, second = conv(32, 32), conv(32, 32)
    second.weight = first.weight
    whole = own(chain(conv(3, 32), first, second, head(32)))
    pruned = prune(whole, 0.5, IMAGES)
    _, one, two = convolutions(pruned)
    assert one.weight is two.weight
    assert one.weight.shape[:2] == (16, 16)
    assert Sizes.of(pruned).n_parameters < 0.5 * Sizes.of(whole).n_parameters
