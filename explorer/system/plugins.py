"""Registries of plugins: those of this package, and entry points of other installed packages; loaded when first used.

An entry point of the group `pareto_explorer.<kind>` adds one: `tasks`, `datasets`, `runtimes`, `scenarios`, `families`,
`devices`, `formats`. A plugin that cannot be used ends only what uses it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, final

from explorer.errors import NotAvailable

GROUP = "pareto_explorer"
PACKAGE = "pareto-explorer"

_Made = TypeVar("_Made")


@final
class Registry(Mapping[str, str]):
    """Plugins of one kind by name, each as "package.module:attribute" or "package.module"; built-in ones come first."""

    def __init__(self, kind: str, built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self._built_in = built_in

    @cached_property
    def _points(self) -> Sequence[EntryPoint]:
        return _entry_points(f"{GROUP}.{self.kind}")

    @cached_property
    def _places(self) -> dict[str, str]:
        places = dict(self._built_in)
        for point in self._points:
            places.setdefault(point.name, point.value)
        return places

    def __getitem__(self, name: str) -> str:
        return self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def package(self, name: str) -> str:
        """Return the installed package that has the plugin of that name, as pip calls it."""
        points = () if self.is_built_in(name) else self._points
        return next((point.dist.name for point in points if point.name == name and point.dist is not None), PACKAGE)

    def require_readable(self) -> None:
        """Raise NotAvailable where an installed package's list of entry points cannot be read."""
        len(self._points)

    def is_built_in(self, name: str) -> bool:
        """Return whether this package has the plugin of that name."""
        return name in self._built_in

    def load(self, name: str) -> Any:
        """Return the plugin of that name.

        Raises KeyError for an unknown name, NotAvailable if it does not load, or if two packages give that name.
        """
        place = self[name]
        for point in self._points:
            if point.name == name and point.value != place:
                raise NotAvailable(
                    f"the entry point {point.value} of {GROUP}.{self.kind} has the name {name!r}, which {place} has "
                    "already: uninstall one of the two packages"
                )
        name_of_module, _, attribute = place.partition(":")
        try:
            module = importlib.import_module(name_of_module)
            return getattr(module, attribute) if attribute else module
        except (Exception, SystemExit) as error:  # whatever the module of another package does when it is imported
            raise self._unusable(name, f"does not load ({type(error).__name__}: {error})") from error

    def make(self, name: str, kind: type[_Made], check: Callable[[_Made], object] = lambda made: None) -> _Made:
        """Return the plugin of that name, a `kind`: an instance of a class that is registered, or what is registered.

        `check` raises whatever it likes for one that is ill-formed. Raises KeyError for an unknown name, NotAvailable
        if it does not load, is something else or ill-formed.
        """
        found = self.load(name)
        try:
            made = found() if isinstance(found, type) else found
        except Exception as error:  # whatever a constructor raises
            raise self._unusable(name, f"cannot be made ({type(error).__name__}: {error})") from error
        if not isinstance(made, kind):
            raise self._unusable(name, f"is {self[name]}, which is no {kind.__name__}")
        if absent := [attribute for attribute in getattr(kind, "__annotations__", ()) if not hasattr(made, attribute)]:
            raise self._unusable(name, f"has no {absent[0]}, which a {kind.__name__} needs")
        try:
            check(made)
        except Exception as error:  # of another package's attributes, which may be of any type
            raise self._unusable(name, f"is ill-formed ({type(error).__name__}: {error})") from error
        return made

    def survey(self, named: Callable[[str], _Made]) -> tuple[dict[str, _Made], dict[str, str]]:
        """Return every plugin that `named` returns, by name, and of every other one a sentence that says why not."""
        usable, faults = {}, {}
        for name in self:
            try:
                usable[name] = named(name)
            except NotAvailable as error:
                faults[name] = str(error)
        return usable, faults

    def _unusable(self, name: str, why: str) -> NotAvailable:
        return NotAvailable(
            f"the plugin {name!r} of {GROUP}.{self.kind}, of the package {self.package(name)}, {why}: mend that "
            "package, or uninstall it"
        )


def _entry_points(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group.

    Raises NotAvailable where a package's list of them cannot be read: other libraries could not read theirs either.
    """
    try:
        return tuple(entry_points(group=group))
    except (TypeError, ValueError) as error:
        raise NotAvailable(f"the entry_points.txt of an installed package cannot be read ({error})") from error
