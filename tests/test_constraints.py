"""constraints.txt: every distribution that the tests are installed with, at the version that is installed here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
NOT_INSTALLED = {"atheris"}
"""Pinned for benchmarks/fuzz.py, which installs it by the extra `fuzz`; it needs nothing itself."""

PINNED = {canonicalize_name(name): pin for name, _, pin in (line.partition("==") for line in PINS)}


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for, with every extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for text in (*project["dependencies"], *(text for extra in extras for text in extra))]


def applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a distribution that is installed with these extras asks for it, on this platform."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def needed_by(requirement: Requirement) -> Iterator[Requirement]:
    """What the distribution that a requirement names asks for in its turn."""
    for text in distribution(requirement.name).requires or ():
        if applies(inner := Requirement(text), requirement.extras):
            yield inner


def tree() -> dict[str, str]:
    """Each distribution that is needed, by its canonical name, with what asked for it first."""
    asked: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(requirement, "pyproject.toml") for requirement in wanted() if applies(requirement, set())]
    while waiting:
        requirement, by = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        asked.setdefault(name, by)
        if (name, extras) not in seen and name not in NOT_INSTALLED:
            seen.add((name, extras))
            waiting += [(inner, requirement.name) for inner in needed_by(requirement)]
    return asked


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def test_constraints_are_exact_versions_sorted_and_nothing_else() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in PINS)
    assert sorted(PINS, key=str.upper) == PINS
    assert len(PINNED) == len(PINS)


def test_constraints_hold_everything_that_is_needed() -> None:
    assert {name: by for name, by in tree().items() if name not in PINNED} == {}


def test_constraints_hold_nothing_that_nobody_needs() -> None:
    assert sorted(PINNED.keys() - tree().keys()) == []


def test_constraints_are_what_is_installed() -> None:
    found = {name: (pin, installed(name)) for name, pin in PINNED.items() if name not in NOT_INSTALLED}
    differing = {name: versions for name, versions in found.items() if versions[0] != versions[1]}
    assert differing == {}, "install again with constraints.txt, or write down what is installed: (pinned, installed)"


def test_constraints_satisfy_what_pyproject_asks_for() -> None:
    unmet = [str(one) for one in wanted() if not one.specifier.contains(PINNED[canonicalize_name(one.name)])]
    assert unmet == []
