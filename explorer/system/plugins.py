"""Registries of plugins: those of this package, and entry points of other installed packages; loaded when first used.

An entry point of the group `pareto_explorer.<kind>` adds one: `tasks`, `datasets`, `runtimes`, `scenarios`, `families`,
`devices`, `formats`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoints, entry_points
from typing import Any, TypeVar, final

from explorer.errors import ExplorerError, NotAvailable

GROUP = "pareto_explorer"
PACKAGE = "pareto-explorer"


_Made = TypeVar("_Made")


@final
class Registry(Mapping[str, str]):
    """Plugins of one kind by name, each as "package.module:attribute" or "package.module"; `load` imports one."""

    def __init__(self, kind: str, built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self._built_in = built_in

    @cached_property
    def _places(self) -> Mapping[str, str]:
        """Built-in plugins first. Raises ExplorerError where two packages give one name."""
        places = dict(self._built_in)
        for point in _points(f"{GROUP}.{self.kind}"):
            if places.setdefault(point.name, point.value) != point.value:
                raise ExplorerError(
                    f"the entry point {point.value} of {GROUP}.{self.kind} has the name {point.name!r}, which "
                    f"{places[point.name]} has already: uninstall one of the two packages."
                )
        return places

    def __getitem__(self, name: str) -> str:
        return self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def package(self, name: str) -> str:
        """Return the installed package that has the plugin of that name, as pip calls it."""
        points = () if name in self._built_in else entry_points(group=f"{GROUP}.{self.kind}", name=name)
        return next((point.dist.name for point in points if point.dist is not None), PACKAGE)

    def load(self, name: str) -> Any:
        """Return the plugin of that name. Raises KeyError for an unknown name, NotAvailable if it does not load."""
        place = self[name]
        name_of_module, _, attribute = place.partition(":")
        try:
            module = importlib.import_module(name_of_module)
            return getattr(module, attribute) if attribute else module
        except (Exception, SystemExit) as error:  # whatever the module of another package does when it is imported
            raise self._unusable(name, f"does not load ({type(error).__name__}: {error})") from error

    def make(self, name: str, kind: type[_Made]) -> _Made:
        """Return the plugin of that name, a `kind`: an instance of a class that is registered, or what is registered.

        Raises KeyError for an unknown name, NotAvailable if it does not load or is something else.
        """
        found = self.load(name)
        try:
            made = found() if isinstance(found, type) else found
        except Exception as error:  # whatever a constructor raises
            raise self._unusable(name, f"cannot be made ({type(error).__name__}: {error})") from error
        if not isinstance(made, kind):
            raise self._unusable(name, f"is {self[name]}, which is no {kind.__name__}")
        return made

    def _unusable(self, name: str, why: str) -> NotAvailable:
        return NotAvailable(
            f"the plugin {name!r} of {GROUP}.{self.kind}, of the package {self.package(name)}, {why}: mend that "
            "package, or uninstall it"
        )


def _points(group: str) -> EntryPoints:
    """Return the entry points of a group. Raises NotAvailable where a package's list of them cannot be read."""
    try:
        return entry_points(group=group)
    except (TypeError, ValueError) as error:
        raise NotAvailable(f"the entry_points.txt of an installed package cannot be read ({error})") from error
