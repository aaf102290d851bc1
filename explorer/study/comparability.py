"""Comparability: everything that a trial's metrics depend on besides its variant, and how two studies differ in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from explorer.errors import StudyIncompatible
from explorer.models.identity import difference, read_description
from explorer.space.values import SearchSpace
from explorer.study.evaluation import Prepared
from explorer.system import environment
from explorer.system.hashing import content_key


def comparability_key(space: SearchSpace, prepared: Prepared) -> str:
    """Return the key of data, network, software, processor and prices: metrics with equal keys are comparable."""
    return content_key(
        {
            "identity": dict(prepared.identity),
            "task": space.task,
            "model": space.model,
            "recipe": space.recipe,
            "recovery_steps": space.recovery_steps,
            "data": asdict(space.data),
            "device": asdict(space.device),
            "scenario": space.scenario,
        }
    )


def identity_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON-ready facts that must be equal for metrics to be comparable, of the builder and this machine.

    Instruction sets count beside the processor's name, since a virtual machine may hide some: they decide the kernels
    and the range of int8 weights. Raises LookupError or TypeError for malformed facts.
    """
    processor = environment.processor()
    return {
        "data": facts["data"],
        "weights": facts["weights"]["fingerprint"],
        "software": environment.software(),
        "processor": processor["name"],
        "instructions": ", ".join(processor["instructions"]) or "none",
    }


def identity_difference(
    old: Mapping[str, Any], new: Mapping[str, Any], networks: tuple[Path | None, Path | None] = (None, None)
) -> list[str]:
    """Return how two identities differ, one line per fact; [] when they are equal.

    `networks` are the files that describe the old and the new network; if both are readable, their differences are
    listed.
    """
    before, after = dict(_flat(old)), dict(_flat(new))
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    lines = [f"{name}: {before.get(name, 'nothing')} -> {after.get(name, 'nothing')}" for name in names]
    if "weights" in names and (words := _network_difference(*networks)):
        lines[names.index("weights")] = f"the network: {'; '.join(words)}"
    return lines


def incompatible(
    name: str,
    what: str,
    changes: list[str],
    way_on: str = "change it back, or start a new study from the trials that still apply with --fork NAME",
) -> StudyIncompatible:
    """Return an error that lists the changes and says what to do."""
    lines = "\n".join(f"  {change}" for change in changes)
    return StudyIncompatible(f"{what} changed since the study {name!r} was started:\n{lines}\n{way_on}")


def _network_difference(old: Path | None, new: Path | None) -> list[str]:
    before = None if old is None else read_description(old)
    after = None if new is None else read_description(new)
    return [] if before is None or after is None else difference(before, after)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested facts as `outer.inner` and value."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value
