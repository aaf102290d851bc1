"""Judge earlier trials again, from their stored slices, by an anchor's quiet level that was not known yet.

A study that begins while its core is never quiet takes the slow state for the quiet one. When a later trial shows a
lower level, nothing needs to be measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from explorer.measure.metrics import Prices, Subject
from explorer.measure.probing import store_measurement
from explorer.measure.quality_pass import read_raw
from explorer.measure.results import Measured, rejudged
from explorer.measure.scenarios.scenario import scenario_named
from explorer.observation import Observation
from explorer.records import TrialOutcome
from explorer.runtimes.artifact import Artifact
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.samples import measurement_file
from explorer.system.worker_process import WorkerFailed

_FALLEN = 1.01
"""How far a trial's level must be above the lowest: the estimates of one level differ by some tenths of a percent."""


def level_of(record: TrialRecord) -> NDArray[np.float64] | None:
    """Return the level [p] in ms of the anchor's parts by which a trial was judged; None of one without times."""
    observed = record.outcome.observed
    return np.array(observed.anchor.level_ms) if isinstance(observed, Observation) else None


def outdated(levels: Mapping[int, NDArray[np.float64]]) -> tuple[NDArray[np.float64], list[int]]:
    """Return the lowest level [p] of at least one trial, and the trials that were judged by a higher one.

    `levels` [p] are those of each trial, by its place among the trials.
    """
    lowest = np.min(list(levels.values()), axis=0)
    return lowest, [place for place, level in levels.items() if (level > _FALLEN * lowest).any()]


def judged_again(result: StudyResult, record: TrialRecord, level_ms: NDArray[np.float64]) -> TrialOutcome | None:
    """Return the outcome of a trial by the level [p], stored beside its artifact; None where its slices are gone.

    Raises OSError when it cannot be written.
    """
    outcome, device = record.outcome, result.space.device
    file, observation = measurement_file(result, record), outcome.observation
    if isinstance(file, str) or observation is None:
        return None
    try:
        raw, artifact = read_raw(file), Artifact.read(file.parent.parent)
        subject = Subject(
            artifact,
            record.variant,
            scenario_named(result.space.scenario),
            Prices(device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million),
            result.task,
            result.task_facts,
            targets=np.zeros(len(raw["exits"])),
        )
        made, arrays = rejudged(raw, Measured(outcome.metrics, observation, outcome.reasons), subject, 1e6 * level_ms)
    except (WorkerFailed, ValueError, LookupError, FileNotFoundError):  # not what a probe wrote, or gone meanwhile
        return None
    store_measurement(file.with_name(f".{file.name}.tmp"), arrays, file, record.variant, made)
    return replace(outcome, metrics=made.metrics, observed=made.observation)
