"""The builder process: materialize, prune, recover, count, export; and the parameters of these transformations.

Importing this does not import torch.
"""

from __future__ import annotations

from explorer.parameters import Numbers, ParameterSpec

PRUNING_RATIO = ParameterSpec(
    name="pruning_ratio",
    phase="network",
    baseline=0.0,
    allowed=Numbers(0, 0.9),  # beyond it most layers would be empty
    title="pruning",
    summary="Share of the channels that structured pruning removes from the narrowed network.",
    example="{min: 0.0, max: 0.4, step: 0.1}",
)


def declared() -> tuple[tuple[ParameterSpec, bool], ...]:
    """Return the parameters of all transformations, which are built in."""
    return ((PRUNING_RATIO, True),)
