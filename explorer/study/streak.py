"""Streak: the same fault in a row, after which the next one can be expected to be the same."""

from __future__ import annotations

from typing import final

from explorer.errors import NotAvailable
from explorer.records import Failure

MAX_SAME_FAILURES = 5


@final
class Streak:
    """Counts failures of one kind in a row. `things` are what fails, in the plural; `way_on` says what to do then."""

    def __init__(self, things: str, way_on: str) -> None:
        self._things = things
        self._way_on = way_on
        self._kind = ""
        self._length = 0

    def add(self, failure: Failure | None) -> None:
        """Take in how the next one ended; None: without a failure. Raises NotAvailable at MAX_SAME_FAILURES."""
        if failure is None:
            self._length = 0
            return
        self._length = self._length + 1 if failure.kind == self._kind else 1
        self._kind = failure.kind
        if self._length >= MAX_SAME_FAILURES:
            raise NotAvailable(
                f"{self._length} {self._things} in a row failed the same way ({failure.kind}): "
                f"{failure.reason}. Remove the cause and {self._way_on}"
            )
