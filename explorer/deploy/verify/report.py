"""The report of a verification: one row per promise of the bundle, with what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from explorer.deploy.manifest import Metric
from explorer.deploy.verify.bundle import Bundle
from explorer.records import Measurement, Progress
from explorer.runtimes.runtime import FLOAT_TOLERANCE
from explorer.system.worker_process import Stop

Verdict = Literal["holds", "fails", "not comparable", "not checked"]
How = Literal["recomputed", "derived", "sender's word"]
"""How a row was obtained: measured, hashed or counted here; by a formula from such rows; or only stated."""

Fact = Measurement | str


@dataclass(frozen=True, slots=True)
class Row:
    """One promise. Metrics are measurements, other facts are texts; `why` is a sentence or empty.

    `is_derived`: the verdict follows from other numbers of the bundle, without a measurement.
    """

    what: str
    promised: Fact
    found: Fact
    verdict: Verdict
    why: str = ""
    is_derived: bool = False

    @property
    def how(self) -> How:
        """How the verdict was obtained."""
        if self.verdict in ("not comparable", "not checked"):
            return "sender's word"
        return "derived" if self.is_derived else "recomputed"

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        facts = {"promised": self.promised, "found": self.found}
        texts = {name: fact.to_json() if isinstance(fact, Measurement) else fact for name, fact in facts.items()}
        return {"what": self.what, **texts, "verdict": self.verdict, "how": self.how, "why": self.why or None}


def unchecked(what: str, promised: Fact, why: str) -> Row:
    """Return the row of a promise that nothing here can check, with the reason."""
    return Row(what, promised, "", "not checked", why)


def equal(what: str, promised: str, found: str, is_equal: bool, why: str) -> Row:
    """Return the row of a fact that holds if it `is_equal` to what was found, and else fails for the reason `why`."""
    return Row(what, promised, found, "holds" if is_equal else "fails", "" if is_equal else why)


def measurement(metric: Metric | None) -> Measurement:
    """Return the measurement of a manifest's metric, unknown for None."""
    return Measurement.unknown("not stated") if metric is None else Measurement(**dict(metric))


@dataclass(frozen=True, slots=True)
class Report:
    """All rows of the bundle `name`; None for a bundle that cannot be read."""

    name: str | None
    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows that fail."""
        return tuple(row for row in self.rows if row.verdict == "fails")

    def obtained(self, how: How) -> tuple[Row, ...]:
        """Return the rows that were obtained in that way."""
        return tuple(row for row in self.rows if row.how == how)

    @property
    def verdict(self) -> Verdict:
        """Fails when a row does, and holds otherwise, even if rows could not be checked."""
        return "fails" if self.failed else "holds"

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"bundle": self.name, "verdict": self.verdict, "rows": [row.to_json() for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Remeasurement:
    """Inputs of measurements. Files go to `folder`; `is_same`: device and versions are those of the study."""

    bundle: Bundle
    folder: Path
    is_same: bool
    stop: Stop | None
    on_progress: Callable[[Progress], None]

    @property
    def tolerance(self) -> float:
        """How far outputs may be apart: on the same processor with the same versions only the order of sums differs."""
        return FLOAT_TOLERANCE if self.is_same else self.bundle.tolerance
