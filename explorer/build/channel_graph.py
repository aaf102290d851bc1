"""The channel graph: which channels of which layers depend on each other, and whether a removal is valid.

The dependencies are torch-pruning's (DepGraph: Fang et al., CVPR 2023), which follows autograd's graph of one forward
pass. Since it guesses at unknown operations, every removal is verified: see `ChannelGraph.remove`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings

import torch
from torch import Tensor, nn

from explorer.build.effects import outputs_of, wrong_outputs

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork

_TOLERANCE = 1e-3  # relative to the largest logit: sums over fewer channels are rounded differently
_NORMS = (nn.LayerNorm, nn.GroupNorm)


class CannotPrune(Exception):
    """The reason why channels cannot be removed, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Channels to remove: output channels `indices` of the layer `root`, and all that depend on them.

    With `has_norm`, a layer or group norm is among these. Its statistics then come from the remaining channels, whose
    values change accordingly.
    """

    root: str
    layers: tuple[str, ...]
    indices: tuple[int, ...]
    has_norm: bool


class ChannelGraph:
    """A traced copy of a network, whose channels can be removed. Raises CannotPrune when it cannot be traced.

    The network is traced and verified with `inputs` [b, ...].
    """

    def __init__(self, network: StagedNetwork, inputs: Tensor) -> None:
        self.network = copy.deepcopy(network).eval()
        self._inputs = inputs
        self._is_trained = {name: p.requires_grad for name, p in network.named_parameters(remove_duplicate=False)}
        self._shape = tuple(outputs_of(self.network, inputs)[-1].shape)
        for parameter in self.network.parameters():  # frozen ones are absent from autograd's graph
            if parameter.is_floating_point():
                parameter.requires_grad_(True)
        self._graph = _traced(self.network, inputs)
        self._names = {module: name for name, module in self.network.named_modules()}
        self._tied = _tied_parameters(self.network)
        self._untouchable = self._tie()

    def groups(self) -> list[Group]:
        """Return the groups of layers whose output channels are only removable together, without the network's outputs.

        Raises CannotPrune.
        """
        with catch_warnings(action="ignore"), _as_cannot_prune("its layers cannot be followed"):
            found = self._graph.get_all_groups(root_module_types=(nn.modules.conv._ConvNd, nn.Linear))
            return [group for items in found if not (group := Group(self._names, items)).is_output]

    def remove(self, cuts: Sequence[Cut]) -> StagedNetwork:
        """Remove `cuts` and return the network; this graph must not be used afterwards.

        The outputs must equal those of the whole network with zeros for the removed weights. Where a norm takes its
        statistics over channels, they differ, and only shape and finiteness are checked. Raises CannotPrune.
        """
        exact, normed = [c for c in cuts if not c.has_norm], [c for c in cuts if c.has_norm]
        with (
            catch_warnings(action="ignore"),
            torch.no_grad(),
            _as_cannot_prune("the network does not run without these channels"),
        ):
            for cut in exact:
                self._fill_zeros(cut)
            expected = outputs_of(self.network, self._inputs)
            self._cut(exact)
            made = self._checked_outputs()
            tolerances = [_TOLERANCE * max(float(whole.abs().max()), 1e-6) for whole in expected]
            pairs = zip(expected, made, tolerances, strict=True)
            if not all(torch.allclose(whole, cut, rtol=_TOLERANCE, atol=least) for whole, cut, least in pairs):
                raise CannotPrune("what the remaining channels give depends on the number or the order of channels")
            self._cut(normed)
            self._checked_outputs()
        for name, parameter in self.network.named_parameters(remove_duplicate=False):
            if parameter.is_floating_point():
                parameter.requires_grad_(self._is_trained[name])
        return self.network

    def _cut(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            items = self._items(cut)
            if any(dep.target.module in self._untouchable for dep, _ in items):
                raise CannotPrune("they share weights with a layer of another kind")
            if not self._graph.check_pruning_group(items):
                raise CannotPrune("nothing would be left of a layer that depends on them")
            items.prune()
        self._retie()

    def _items(self, cut: Cut) -> Any:
        module = self.network.get_submodule(cut.root)
        prune_outputs = self._graph.get_pruner_of_module(module).prune_out_channels
        return self._graph.get_pruning_group(module, prune_outputs, list(cut.indices))

    def _checked_outputs(self) -> list[Tensor]:
        made = outputs_of(self.network, self._inputs)
        if wrong := wrong_outputs(made, self._shape):
            raise CannotPrune(f"without these channels the network gives {wrong}")
        return made

    def _fill_zeros(self, cut: Cut) -> None:
        for dep, indices in self._items(cut):
            is_output = self._graph.is_out_channel_pruning_fn(dep.handler)
            _zero(dep.target.module, is_output, torch.tensor(indices), dep.target.pruning_dim)

    def _tie(self) -> set[nn.Module]:
        """Make layers with the same weights depend on each other; return those for which that is impossible."""
        from torch_pruning.dependency import Dependency

        untouchable: set[nn.Module] = set()
        nodes = self._graph.module2node
        for places in self._tied:
            modules = [module for module, _ in places]
            if len({(type(m), name) for m, name in places}) > 1 or any(m not in nodes for m in modules):
                untouchable.update(modules)
                continue
            pruner = self._graph.get_pruner_of_module(modules[0])
            for source in modules:
                for target in (m for m in modules if m is not source):
                    for fn in dict.fromkeys((pruner.prune_out_channels, pruner.prune_in_channels)):
                        tie = Dependency(trigger=fn, handler=fn, source=nodes[source], target=nodes[target])
                        nodes[source].dependencies.append(tie)
        return untouchable

    def _retie(self) -> None:
        """Share the tensors again that pruning has replaced in every layer. Raises CannotPrune when they differ."""
        for (first, name), *others in self._tied:
            shared = getattr(first, name)
            for module, other in others:
                if not torch.equal(getattr(module, other), shared):
                    raise CannotPrune("layers that share weights would no longer have the same")
                setattr(module, other, shared)


class Group:
    """Layers whose output channels can only be removed together."""

    def __init__(self, names: dict[nn.Module, str], items: Any) -> None:
        from torch_pruning import ops

        self.items = items
        targets = [dep.target for dep, _ in items]
        outputs = [d.target.module for d, _ in items if items._DG.is_out_channel_pruning_fn(d.handler)]
        self.root = names[targets[0].module]
        layers = [m for m in outputs if isinstance(m, nn.modules.conv._ConvNd | nn.Linear)]
        self.layers = tuple(dict.fromkeys(names[m] for m in layers))
        self.is_output = any(target.type == ops.OPTYPE.OUTPUT for target in targets)
        self.has_norm = any(isinstance(target.module, _NORMS) for target in targets)
        self.n_blocks = math.lcm(*(_n_blocks(target.module) for target in targets))

    def importance(self) -> Tensor:
        """Return the mean squared L2 norm of all weights per channel, [blocks, n / blocks]. Raises CannotPrune."""
        from torch_pruning.pruner.importance import GroupMagnitudeImportance

        with catch_warnings(action="ignore"), _as_cannot_prune("the importance of the channels cannot be computed"):
            return GroupMagnitudeImportance(p=2)(self.items).detach().view(self.n_blocks, -1)  # type: ignore[no-any-return]


def _n_blocks(module: nn.Module) -> int:
    """Return the number of equal blocks of a layer's channels, each of which must lose the same number."""
    if isinstance(module, nn.GroupNorm):
        return module.num_groups
    if isinstance(module, nn.MultiheadAttention):
        return int(module.num_heads)
    if isinstance(module, nn.modules.conv._ConvNd) and module.groups != module.out_channels:
        return module.groups
    return 1


def _traced(network: StagedNetwork, inputs: Tensor) -> Any:
    from torch_pruning.dependency import DependencyGraph

    with catch_warnings(action="ignore"), torch.enable_grad(), _as_cannot_prune("it cannot be traced"):
        return DependencyGraph().build_dependency(
            network, inputs, forward_fn=lambda network, inputs: network(inputs), output_transform=_marked
        )


def _marked(outputs: list[Tensor]) -> list[Tensor]:
    """Return the outputs with an operation behind each, which marks them in autograd's graph.

    Raises CannotPrune.
    """
    if not all(output.requires_grad for output in outputs):
        raise CannotPrune(
            "its forward switches gradients off (torch.no_grad, inference_mode or detach), "
            "and pruning follows them from layer to layer"
        )
    return [output + 0.0 for output in outputs]


def _tied_parameters(network: nn.Module) -> list[list[tuple[nn.Module, str]]]:
    """Return the places, as module and name, of each parameter that several modules share."""
    places: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            places.setdefault(parameter, []).append((module, name))
    return [found for found in places.values() if len(found) > 1]


def _zero(module: Any, is_output: bool, indices: Tensor, dim: int | None) -> None:
    """Fill the weights of channels with zeros."""
    if isinstance(module, nn.Parameter):
        module.index_fill_(-1 if dim is None else dim, indices, 0.0)
    elif isinstance(module, nn.modules.conv._ConvNd):
        _zero_weight(module, is_output, indices)
    elif isinstance(module, nn.Linear):
        module.weight.index_fill_(0 if is_output else 1, indices, 0.0)
    elif isinstance(module, nn.modules.batchnorm._NormBase) and module.affine:
        module.weight.index_fill_(0, indices, 0.0)
    else:
        return
    if is_output and getattr(module, "bias", None) is not None:
        module.bias.index_fill_(0, indices, 0.0)


def _zero_weight(module: nn.modules.conv._ConvNd, is_output: bool, indices: Tensor) -> None:
    """Fill channels of a weight [out, in / groups, ...] with zeros; a transposed one is [in, out / groups, ...]."""
    is_first = is_output != module.transposed
    if module.groups == 1 or is_first:
        module.weight.index_fill_(0 if is_first else 1, indices, 0.0)
        return
    n = module.weight.shape[1]
    blocks = module.weight.view(module.groups, -1, *module.weight.shape[1:])
    for index in indices.tolist():
        blocks[index // n, :, index % n] = 0.0


@contextmanager
def _as_cannot_prune(what: str) -> Iterator[None]:
    """Turn any exception of torch-pruning or the network into CannotPrune, except for a full disk or memory."""
    try:
        yield
    except (CannotPrune, MemoryError, OSError):
        raise
    except Exception as error:
        lines = str(error).splitlines() or [""]
        raise CannotPrune(f"{what} ({type(error).__name__}: {lines[0][:200]})") from error
