"""Steadiness: how steady the machine was, by the anchor's time beside each trial's and each confirmation's times."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from explorer.plain_file import read_plain_text
from explorer.study.result import StudyResult
from explorer.study.sound import json_value
from explorer.views.page_columns import known
from explorer.views.wording import one_line

_ARTIFACT = re.compile(r"[A-Za-z0-9_-]+")  # a name and no path, whatever a file says
_NO_ANCHOR = "the trials were measured without an anchor"
_MAX_READINGS = 600
_USUAL_PERCENT = (5, 95)


@dataclass(frozen=True, slots=True)
class Reading:
    """The anchor in one measurement.

    `round` is 0 in the search. `slowness` is its median time over its reference, above 1 where the machine was slower;
    `spread` the standard deviation of its windows' medians, as a ratio (explorer.measure.correction.dispersion).
    """

    trial: int
    round: int
    slowness: float
    spread: float
    is_invalid: bool


@dataclass(frozen=True, slots=True)
class SteadinessInfo:
    """The readings in the order in which they were taken, and one sentence that says how steady the machine was.

    Without readings, `sentence` says why there are none.
    """

    readings: tuple[Reading, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values, with no more than some hundred readings: evenly chosen ones, and what is not valid."""
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


def steadiness_info(result: StudyResult) -> SteadinessInfo:
    """The anchor's history: of the trials by their record, of confirmation rounds by the files beside the artifacts."""
    searched = [_reading(t.number, 0, t.outcome.details.get("anchor"), bool(t.outcome.invalid)) for t in result.trials]
    readings = tuple(one for one in (*searched, *_confirmed(result)) if one is not None)
    return SteadinessInfo(readings, _sentence(readings) if readings else f"Not known: {_why_none(result)}.")


def _confirmed(result: StudyResult) -> Iterator[Reading | None]:
    """A copy of a study need not have those files: what is missing is left out."""
    if result.confirmation is None:
        return
    artifacts = {finalist.trial: finalist.artifact for finalist in result.confirmation.finalists}
    for number, takes in enumerate(result.confirmation.rounds, 1):
        for take in takes:
            artifact = artifacts[take.trial]
            if not _ARTIFACT.fullmatch(artifact):
                continue
            folder = result.folder / "artifacts" / artifact / "measurements"
            try:
                text = read_plain_text(folder / f"confirm-{number:02d}-trial-{take.trial:05d}.json")
                anchor = json_value(text)["details"]["anchor"]
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                continue
            yield _reading(take.trial, number, anchor, bool(take.invalid))


def _reading(trial: int, round_number: int, anchor: Any, is_invalid: bool) -> Reading | None:
    """None where the record has no anchor."""
    if not isinstance(anchor, Mapping):
        return None
    slowness, spread = _number(anchor.get("slowness")), _number(anchor.get("dispersion"))
    if slowness is None or spread is None or slowness <= 0:
        return None
    return Reading(trial, round_number, slowness, spread, is_invalid)


def _number(value: Any) -> float | None:
    """A finite number; None for anything else that a record may hold."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _sentence(readings: tuple[Reading, ...]) -> str:
    """The usual range of the speed: from the 5th to the 95th percentile of the measurements that can be believed."""
    believed = [one.slowness for one in readings if not one.is_invalid]
    n_invalid = len(readings) - len(believed)
    doubtful = {0: "", 1: " One measurement is not valid."}.get(n_invalid, f" {n_invalid} measurements are not valid.")
    if len(believed) < 2:
        return f"One measurement does not tell how steady the machine was.{doubtful}"
    low, high = np.percentile(believed, _USUAL_PERCENT)
    n_rounds = len({one.round for one in readings} - {0})
    where = f"{len(readings)} measurements" + (
        f", those of {n_rounds} confirmation rounds included" if n_rounds else ""
    )
    moved = 100 * float(high / low - 1)
    share = f"{moved:.0f}" if moved >= 9.5 else f"{moved:.1f}"
    return (
        f"The machine's speed moved by {share} % during the study ({where}); "
        f"times are corrected as far as each variant feels it.{doubtful}"
    )


def _why_none(result: StudyResult) -> str:
    """The trials' own reason, where they have one."""
    anchors = (trial.outcome.details.get("anchor") for trial in result.trials)
    whys = (anchor.get("why") for anchor in anchors if isinstance(anchor, Mapping))
    return next((one_line(str(why)) for why in whys if why), _NO_ANCHOR)
