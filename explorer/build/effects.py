"""Verify the effect of each transformation on the network, before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from explorer.errors import VariantFailed
from explorer.parameters import PARAMETERS

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork

_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of a network: its number of parameters, and the shape of each layer's weight by the layer's name."""

    n_parameters: int
    layers: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, network: nn.Module) -> Sizes:
        """Return the present sizes of `network`."""
        layers = {name: tuple(m.weight.shape) for name, m in network.named_modules() if isinstance(m, _LAYERS)}
        return cls(sum(parameter.numel() for parameter in network.parameters()), layers)


def check_changed(made: StagedNetwork, without: StagedNetwork, inputs: Tensor, name: str, value: Any) -> None:
    """Raise VariantFailed unless a network differs from the one with the baseline's value of the parameter `name`.

    Networks of the same layers are compared by their outputs for `inputs` [b, ...].
    """
    sizes = Sizes.of(made)
    if sizes != Sizes.of(without) or any(
        not torch.equal(a, b) for a, b in zip(outputs_of(made, inputs), outputs_of(without, inputs), strict=True)
    ):
        return
    baseline = PARAMETERS[name].baseline
    raise VariantFailed(
        f"{name} without effect",
        f"{values_text({name: value})} leaves all {sizes.n_parameters} parameters of {name} {baseline}: each of its "
        f"{len(sizes.layers)} layers is as it was ({some_of(sizes.layers)}); use {name}: {baseline}, or another value",
    )


def values_text(values: Mapping[str, Any]) -> str:
    """Return values as `width 0.5 1 1, depth 1`."""
    lists = {name: value if isinstance(value, list | tuple) else [value] for name, value in values.items()}
    texts = {
        name: " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in all_of)
        for name, all_of in lists.items()
    }
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def check_pruned(before: Sizes, after: Sizes, ratio: float) -> None:
    """Raise VariantFailed unless pruning removed parameters, and made at least one layer smaller and none larger."""
    changed = [name for name, shape in before.layers.items() if after.layers.get(name) != shape]
    is_smaller = all(
        len(shape := after.layers.get(name, ())) == len(before.layers[name])
        and math.prod(shape) < math.prod(before.layers[name])
        for name in changed
    )
    if changed and is_smaller and after.n_parameters < before.n_parameters:
        return
    raise VariantFailed(
        "nothing pruned",
        f"pruning_ratio {ratio:g} was to take parameters and left {after.n_parameters} of {before.n_parameters}; "
        f"layers that changed: {some_of(changed) or 'none'}. This network cannot be pruned; use pruning_ratio: 0.0",
    )


def pruning_facts(before: Sizes, after: Sizes) -> dict[str, str]:
    """Return how many layers became smaller, of how many, and the share of removed parameters; JSON-ready."""
    n_smaller = sum(after.layers[name] != shape for name, shape in before.layers.items())
    share = 1 - after.n_parameters / before.n_parameters
    return {"layers": f"{n_smaller} of {len(before.layers)}", "parameters": f"-{100 * share:.1f} %"}


def check_recovered(before: nn.Module, after: nn.Module) -> None:
    """Raise VariantFailed unless the recovery changed a parameter, and all parameters are finite."""
    olds, news = list(before.parameters()), list(after.parameters())
    if not all(bool(torch.isfinite(new).all()) for new in news):
        raise VariantFailed("recovery failed", "the recovery after pruning gave weights that are not finite numbers")
    if all(torch.equal(old, new) for old, new in zip(olds, news, strict=True)):
        raise VariantFailed("recovery failed", f"the recovery after pruning changed none of {len(news)} parameters")


def check_outputs(network: StagedNetwork, inputs: Tensor, n_outputs: int, after: str) -> None:
    """Raise VariantFailed unless every exit gives finite outputs [b, n_outputs] for `inputs` [b, ...].

    `after` names the preceding transformations.
    """
    if wrong := wrong_outputs(outputs_of(network, inputs), (len(inputs), n_outputs)):
        raise VariantFailed("wrong outputs", f"after {after} the network gives {wrong}")


def wrong_outputs(outputs: list[Tensor], shape: tuple[int, ...]) -> str:
    """Return what is wrong with the outputs, which must be finite and each of `shape`; "" if nothing is."""
    for output in outputs:
        if output.shape != shape:
            return f"outputs of shape {list(output.shape)}, expected {list(shape)}"
        if not torch.isfinite(output).all():
            return "outputs that are not finite numbers"
    return ""


def outputs_of(network: StagedNetwork, inputs: Tensor) -> list[Tensor]:
    """Return the outputs [b, k] of every exit for `inputs` [b, ...], in eval mode and without gradients."""
    with torch.no_grad():
        return [output.detach() for output in network.eval()(inputs)]


def some_of(names: Mapping[str, Any] | list[str], most: int = 4) -> str:
    """Return the first names, and the number of the others."""
    # In a user's own network, the user's is the second module of the only segment.
    shown = [name.removeprefix("segments.0.1.") for name in names][:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
