"""Structured channel pruning: remove the channels with the least weight, with everything that depends on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from explorer.build.channel_graph import CannotPrune, ChannelGraph, Cut, Group
from explorer.build.effects import Sizes, check_pruned, some_of
from explorer.errors import VariantFailed

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork

_CHANNEL_MULTIPLE = 8  # int8 and AVX kernels work on blocks of 8 channels; others waste the rest of a block
_FEW_CHANNELS = "they have so few channels that this ratio rounds to none of them"
_ONLY_OUTPUTS = "between them and the network's outputs is no layer of torch.nn that pruning can follow"


def prune(network: StagedNetwork, ratio: float, inputs: Tensor) -> StagedNetwork:
    """Return a copy of `network` without the least important `ratio` (in (0, 1)) of its channels.

    Channels that residual additions and heads tie together are ranked and removed as one group, by the L2 norm of all
    their weights (DepGraph: Fang et al., CVPR 2023). The number left is the nearest multiple of 8, or the nearest
    number where multiples of 8 would leave every layer unchanged. Channels of the network's outputs stay, and so do
    those without which it does not run, or on whose number or order the others depend. The result is
    verified on `inputs` [b, ...]. Raises VariantFailed, which names the layers, when no channel can be removed.
    """
    refused: dict[str, str] = {}
    try:
        pruned = _cut(network, inputs, ratio, refused)
    except CannotPrune as error:
        raise _nothing_pruned(network, ratio, {"all": str(error)}) from error
    if pruned is None:
        raise _nothing_pruned(network, ratio, refused)
    check_pruned(Sizes.of(network), Sizes.of(pruned), ratio)
    return pruned


def _cut(network: StagedNetwork, inputs: Tensor, ratio: float, refused: dict[str, str]) -> StagedNetwork | None:
    """Return the pruned network, or None; `refused` gets the reason for each group of layers that stays."""
    graph = ChannelGraph(network, inputs)
    groups = graph.groups()
    cuts = _cuts(groups, ratio, _CHANNEL_MULTIPLE, refused) or _cuts(groups, ratio, 1, refused)
    try:
        return graph.remove(cuts) if cuts else None
    except CannotPrune:
        pass  # some of them together may be possible
    single = [cut for cut in cuts if _removed(network, inputs, [cut], refused) is not None]
    if pruned := _removed(network, inputs, single, {}):
        return pruned
    together: list[Cut] = []
    for cut in single:
        if _removed(network, inputs, [*together, cut], refused) is not None:
            together.append(cut)
    return _removed(network, inputs, together, {})


def _removed(network: StagedNetwork, inputs: Tensor, cuts: list[Cut], refused: dict[str, str]) -> StagedNetwork | None:
    """Return the network without `cuts`; None if there are none, or `refused` gets the reason for the last one."""
    try:
        return ChannelGraph(network, inputs).remove(cuts) if cuts else None
    except CannotPrune as error:
        refused[", ".join(cuts[-1].layers)] = str(error)
        return None


def _cuts(groups: list[Group], ratio: float, multiple: int, refused: dict[str, str]) -> list[Cut]:
    """Return the channels to remove of each group; `refused` gets the reason where there are none."""
    cuts = []
    for group in groups:
        try:
            cuts.append(Cut(group.root, group.layers, _weakest(group, ratio, multiple), group.has_norm))
        except CannotPrune as error:
            refused[", ".join(group.layers)] = str(error)
    return cuts


def _weakest(group: Group, ratio: float, multiple: int) -> tuple[int, ...]:
    """Return the indices of the least important channels, equally many in each block. Raises CannotPrune."""
    importance = group.importance()
    n_blocks, n_block = importance.shape
    n_left = _n_left(n_blocks * n_block, ratio, n_blocks, multiple)
    if n_left >= n_blocks * n_block:
        raise CannotPrune(_FEW_CHANNELS)
    weakest = torch.topk(importance.mean(0), n_block - n_left // n_blocks, largest=False).indices.tolist()
    return tuple(sorted(block * n_block + index for block in range(n_blocks) for index in weakest))


def _n_left(n: int, ratio: float, n_blocks: int, multiple: int) -> int:
    """Return how many of `n` channels are left: the multiple of both numbers nearest to `ratio`, not 0."""
    step = math.lcm(multiple, n_blocks)
    if step >= n:  # all or nothing
        step = n_blocks if n_blocks > 1 else multiple
    return max(step, round(n * (1 - ratio) / step) * step)


def _nothing_pruned(network: nn.Module, ratio: float, refused: dict[str, str]) -> VariantFailed:
    layers = list(Sizes.of(network).layers)
    reasons = list(dict.fromkeys(refused.values())) or [_ONLY_OUTPUTS]
    what = (
        f"the layers of this network cannot be pruned, all {len(layers)} of them ({some_of(layers)}): "
        f"{'; '.join(reasons[:3])}"
        if layers
        else "this network cannot be pruned, it has no convolution or linear layer of torch.nn"
    )
    return VariantFailed("nothing pruned", f"pruning_ratio {ratio:g} removes nothing: {what}. Use pruning_ratio: 0.0")
