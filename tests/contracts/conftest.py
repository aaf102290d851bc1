"""A small staged network with real exits, for the contracts."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def network():  # type: ignore[no-untyped-def]
    import torch

    from explorer.models.slimmable_cnn import build

    torch.manual_seed(0)
    return build(10, (3, 16, 16), [120.0] * 3, [60.0] * 3).materialize(0.25)
