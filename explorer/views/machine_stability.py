"""Stability of the machine during a study: the anchor's time beside the times of each trial and each confirmation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from explorer.observation import Anchor
from explorer.study.result import StudyResult
from explorer.views.page.columns import known

_NO_ANCHOR = "no trial was measured"
_MAX_READINGS = 600


@dataclass(frozen=True, slots=True)
class Reading:
    """The anchor in one measurement.

    `round` is 0 in the search. `slowness` is its median time over its quiet level, above 1 where the core was slower;
    `spread` the standard deviation of its slices' medians, as a ratio; `quiet_ratio` the share of quiet slices.
    """

    trial: int
    round: int
    slowness: float
    spread: float
    quiet_ratio: float
    is_invalid: bool


@dataclass(frozen=True, slots=True)
class StabilityInfo:
    """The readings in chronological order and a sentence that sums them up or states why there are none."""

    readings: tuple[Reading, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values with at most 600 evenly spaced readings and 600 invalid ones."""
        chosen = set(np.linspace(0, len(self.readings) - 1, _MAX_READINGS).round().astype(int).tolist())
        doubtful = [place for place, one in enumerate(self.readings) if one.is_invalid]
        chosen |= set(doubtful[:_MAX_READINGS])
        readings = [asdict(one) for place, one in enumerate(self.readings) if place in chosen]
        return {
            "sentence": self.sentence,
            "readings": [
                {**one, "slowness": known(one["slowness"]), "spread": known(one["spread"])} for one in readings
            ],
        }


def stability_info(result: StudyResult) -> StabilityInfo:
    """Return the anchor's history, from the trials and the rounds of the confirmation."""
    observed = [(trial, trial.outcome.observation) for trial in result.trials]
    searched = [
        _reading(trial.number, 0, one.anchor, bool(trial.outcome.reasons)) for trial, one in observed if one is not None
    ]
    rounds = () if result.confirmation is None else result.confirmation.rounds
    again = [
        _reading(one.trial, number, one.anchor, bool(one.reasons))
        for number, repeats in enumerate(rounds, 1)
        for one in repeats
    ]
    readings = tuple(one for one in (*searched, *again) if one is not None)
    if readings:
        return StabilityInfo(readings, _sentence(readings))
    return StabilityInfo((), f"Not known: {_NO_ANCHOR}.")


def _reading(trial: int, round_number: int, anchor: Anchor | None, is_invalid: bool) -> Reading | None:
    if anchor is None:
        return None
    return Reading(trial, round_number, anchor.slowness, anchor.dispersion, anchor.quiet_ratio, is_invalid)


def _sentence(readings: tuple[Reading, ...]) -> str:
    """State how often the core was quiet in the valid measurements, and how slow it was otherwise."""
    valid = [one for one in readings if not one.is_invalid]
    n_invalid = len(readings) - len(valid)
    doubtful = {0: "", 1: " One measurement is not valid."}.get(n_invalid, f" {n_invalid} measurements are not valid.")
    if len(valid) < 2:
        return f"One measurement does not tell how steady the core was.{doubtful}"
    n_rounds = len({one.round for one in readings} - {0})
    where = f"{len(readings)} measurements" + (
        f", those of {n_rounds} confirmation rounds included" if n_rounds else ""
    )
    quiet = float(np.mean([one.quiet_ratio for one in valid]))
    slowest = 100 * (max(one.slowness for one in valid) - 1)
    return (
        f"The core was quiet for {100 * quiet:.0f} % of the time ({where}), and up to {slowest:.0f} % slower "
        f"otherwise; latencies are those of its quiet state.{doubtful}"
    )
