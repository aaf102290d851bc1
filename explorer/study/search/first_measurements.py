"""The first measurement of each artifact, which samplers get, so that timing noise does not change proposals.

Two runs with one seed measure the same variant slightly differently, after which a sampler would propose other
variants. So samplers get the first measurement of the same artifact, in the same conditions, on the same device, from a
cache shared by all studies. A study's own results are always the fresh measurements.
"""

from __future__ import annotations

from pathlib import Path

from explorer.records import TrialOutcome
from explorer.study.store.validation import json_value
from explorer.system.files import write_json
from explorer.system.hashing import content_key
from explorer.typed_json import from_json


class FirstMeasurements:
    """The first measurements made on this machine, in files of `folder`.

    `comparability` is the key of all else that metrics depend on (`study.comparability`).
    """

    def __init__(self, folder: Path, comparability: str) -> None:
        self._folder = folder
        self._comparability = comparability

    def of(self, outcome: TrialOutcome) -> dict[str, float]:
        """Return the first metrics of this outcome's artifact and variant, stored now if they are new.

        A metric that the first measurement lacks is taken from this outcome. Raises OSError when they cannot be stored.
        """
        fresh = outcome.values()
        if outcome.artifact is None or not fresh:
            return fresh
        path = self._path(outcome)
        first = _stored(path)
        if first is None:
            write_json(path, fresh)
            return fresh
        return {**fresh, **first}

    def stored(self, outcome: TrialOutcome) -> dict[str, float]:
        """Return the first metrics of this outcome's artifact and variant; empty without any."""
        return {} if outcome.artifact is None else _stored(self._path(outcome)) or {}

    def _path(self, outcome: TrialOutcome) -> Path:
        of = {"artifact": outcome.artifact, "variant": outcome.variant.key("run"), "comparability": self._comparability}
        return self._folder / f"{content_key(of)}.json"


def _stored(path: Path) -> dict[str, float] | None:
    """Return the file's metrics; None when it is missing or damaged."""
    try:
        return from_json(dict[str, float], json_value(path.read_text(encoding="utf-8")), "metrics")
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
