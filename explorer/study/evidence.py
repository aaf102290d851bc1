"""Evidence: what samplers are told of a trial, so that timing noise does not change what is proposed.

Two runs with one seed measure the same variant a little differently, and a sampler that was told the difference would
propose other variants from then on. So the samplers are told the first measurement of the same artifact, in the same
conditions, on the same device: it is remembered in a cache and reused by every later study. A study's own results are
always the fresh ones; evidence never leaves the proposer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from explorer.files import write_json
from explorer.hashing import content_key
from explorer.records import TrialOutcome
from explorer.study.sound import json_value, require_finite, require_object


class Evidence:
    """The first measurements that this machine made, kept in `folder`.

    `world` is the key of everything that metrics depend on besides the variant and its artifact: data, software,
    processor, prices.
    """

    def __init__(self, folder: Path, world: str) -> None:
        self._folder = folder
        self._world = world

    def of(self, outcome: TrialOutcome) -> dict[str, float]:
        """The metrics of the first measurement of this outcome's artifact and variant, remembered now if it is new.

        A metric that the first measurement lacked is this outcome's. Raises OSError when it cannot be remembered.
        """
        fresh = outcome.values()
        if outcome.artifact is None or not fresh:
            return fresh
        path = self._path(outcome)
        first = _remembered(path)
        if first is None:
            write_json(path, fresh)
            return fresh
        return {**fresh, **first}

    def remembered(self, outcome: TrialOutcome) -> dict[str, float]:
        """The metrics of the first measurement of this outcome's artifact and variant; empty when there was none."""
        return dict(_remembered(self._path(outcome)) or {}) if outcome.artifact is not None else {}

    def _path(self, outcome: TrialOutcome) -> Path:
        key = content_key({"artifact": outcome.artifact, "variant": outcome.variant.to_json(), "world": self._world})
        return self._folder / f"{key}.json"


def _remembered(path: Path) -> Mapping[str, float] | None:
    """What the file remembers; None when it is missing or was spoilt, which costs nothing but a new memory."""
    try:
        values = json_value(path.read_text(encoding="utf-8"))
        require_object("evidence", values)
        require_finite("evidence", values.values())
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    remembered: Mapping[str, float] = values
    return remembered
