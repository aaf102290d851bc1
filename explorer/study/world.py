"""World: everything that a trial's metrics depend on besides its variant, and what changed in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from explorer.hashing import content_key
from explorer.space.values import SearchSpace
from explorer.study.evaluation import Prepared


def world_key(space: SearchSpace, prepared: Prepared) -> str:
    """The key of data, network, software, processor and prices: equal keys mean that metrics may be compared."""
    return content_key(
        {
            "identity": dict(prepared.identity),
            "model": space.model,
            "recipe": space.recipe,
            "recovery_steps": space.recovery_steps,
            "data": asdict(space.data),
            "device": asdict(space.device),
        }
    )


def identity_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, one line a fact; empty when they are equal."""
    before, after = dict(_flat(old)), dict(_flat(new))
    names = dict.fromkeys([*before, *after])
    return [
        f"{name}: {before.get(name, 'nothing')} -> {after.get(name, 'nothing')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested facts as `outer.inner` and value."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value
