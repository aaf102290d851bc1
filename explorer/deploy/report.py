"""The report of a verification: what a bundle promised, what was found, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from explorer.records import Measurement

Verdict = Literal["holds", "fails", "not comparable", "not checked"]
Fact = Measurement | str


@dataclass(frozen=True, slots=True)
class Row:
    """One promise. Metrics are measurements, whatever else is known is a text; `why` is a sentence or nothing."""

    what: str
    promised: Fact
    found: Fact
    verdict: Verdict
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; a measurement is as in every JSON of this package."""
        facts = {"promised": self.promised, "found": self.found}
        texts = {name: fact.to_json() if isinstance(fact, Measurement) else fact for name, fact in facts.items()}
        return {"what": self.what, **texts, "verdict": self.verdict, "why": self.why or None}


@dataclass(frozen=True, slots=True)
class Report:
    """All promises of the bundle `name`; what could not be read has none."""

    name: str | None
    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Row, ...]:
        """The promises that do not hold."""
        return tuple(row for row in self.rows if row.verdict == "fails")

    @property
    def verdict(self) -> Verdict:
        """Fails when a promise does, holds otherwise, whatever could not be checked."""
        return "fails" if self.failed else "holds"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"bundle": self.name, "verdict": self.verdict, "rows": [row.to_json() for row in self.rows]}
