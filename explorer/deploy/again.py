"""Again: what measuring a bundle anew needs, and the rows of what cannot be measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from explorer.deploy.manifest import Metric
from explorer.deploy.reading import Bundle
from explorer.deploy.report import Row
from explorer.measure.child import Stop
from explorer.records import Measurement, Progress


@dataclass(frozen=True, slots=True)
class Again:
    """What measuring needs. Files go to `place`; `is_same`: device and versions are those of the study."""

    bundle: Bundle
    place: Path
    is_same: bool
    stop: Stop | None
    on_progress: Callable[[Progress], None]


def not_checked(stated: Mapping[str, Metric | None], why: str) -> list[Row]:
    """Rows for metrics that there is no way to measure here."""
    return [Row(name, measurement(metric), "", "not checked", why) for name, metric in stated.items()]


def measurement(metric: Metric | None) -> Measurement:
    """The metric of a manifest as the rest of the package knows it."""
    return Measurement.unknown("not stated") if metric is None else Measurement(**dict(metric))
