"""The history checker: what a coordinator acknowledged, and whether the study still has it.

The acknowledgments are read from a log outside of the study; the database is read by SQL, without the program. Each
check is a claim in words and whether it holds.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from scripted_runtime import read_study

from explorer.errors import UsageError
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.study.front import front_view
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.journal import Entry, Journal
from explorer.study.store.location import LIVE_STATUS_NAME
from explorer.study.store.lock import HOLDER_NAME

Claim = tuple[str, bool]

LAST_LINES = {
    5: r"explore: the baseline has no result, .* Remove the cause and start the study again",
    130: r"|explore: (interrupted by|stopped at once by a second) SIG\w+: .*\. To go on: explore start .*",
}
"""How standard error ends, by exit code; with nothing where Ctrl-C came before anything had begun."""


@final
class History:
    """What coordinators acknowledged of one study: `take` reads what is new in the log.

    `n_stored` is how many trials the study had at the last look. A failed baseline need not be kept: a study without
    one holds nothing that could be compared, and begins anew.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self._log = log
        self.n_stored = 0
        self._n_read = 0
        self._ended: dict[int, Mapping[str, Any]] = {}
        self._paid: Counter[Variant] = Counter()
        self._confirmed: Mapping[str, Any] | None = None
        self._is_anew_without_reason = False

    @property
    def has_baseline(self) -> bool:
        """Whether the baseline was acknowledged with a result."""
        return 0 in self._ended and self._ended[0]["state"] != "failed"

    def take(self) -> None:
        """Read on."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.is_file() else []
        for line in lines[self._n_read :]:
            event = json.loads(line)
            if "start" in event:
                self._begin(event["start"], Variant.from_json(event["variant"]))
            elif "end" in event:
                self._ended[event["end"]] = event["record"]
            else:
                self._confirmed = event["confirmed"]
        self._n_read = len(lines)

    def _begin(self, number: int, variant: Variant) -> None:
        if number == 0 and self._ended:
            self._is_anew_without_reason |= self.has_baseline
            self._ended.clear()
            self._confirmed = None
        self._paid[variant] += 1

    def claims(self, n_deaths: int) -> Iterator[Claim]:
        """What must hold after any death; `n_deaths` is how many starts did not reach their end."""
        yield "a study begins anew only where its baseline has no result", not self._is_anew_without_reason
        paid_again = sum(n - 1 for n in self._paid.values())
        yield "I8 at most one variant is paid for twice a death", paid_again <= n_deaths
        try:
            result = read_study(self.folder)
        except UsageError as error:  # there is none yet
            self.n_stored = 0
            yield f"I1 what was acknowledged is there: {error}", not self.has_baseline
            return
        self.n_stored = len(result.trials)
        yield from self._kept(result)
        yield from _stored(self.folder, result)
        yield from _artifacts(self.folder, result)
        yield "I6 the front is that of brute force", fronts_agree(result)

    def _kept(self, result: StudyResult) -> Iterator[Claim]:
        """What was acknowledged, with equal values, in the database and in the journal."""
        stored = {trial.number: _facts(Entry(trial, {}, "")) for trial in result.trials}
        entries = Journal(self.folder)
        journal = {number: _facts(entries.read(number)) for number in entries.numbers()}
        for number, record in self._ended.items() if self.has_baseline else ():
            yield f"I1 trial {number} is in the database as it was acknowledged", stored.get(number) == _facts(record)
            yield f"I1 trial {number} is in the journal as it was acknowledged", journal.get(number) == _facts(record)
        if self._confirmed is not None:
            now = None if result.confirmation is None else json.loads(json.dumps(result.confirmation.to_json()))
            is_newer = now is not None and now["n_trials"] > self._confirmed["n_trials"]
            yield "I1 the confirmation is as it was acknowledged", now == self._confirmed or is_newer

    def over(self, n_trials: int) -> Iterator[Claim]:
        """What must hold beyond that once a start reached its end."""
        result = read_study(self.folder)
        numbers = [trial.number for trial in result.trials]
        yield "the budget is used and no more", len(numbers) == n_trials
        yield "no variant is tried twice", len({trial.variant for trial in result.trials}) == n_trials
        yield "trial 0 is the baseline", result.baseline is not None and result.baseline.variant == Variant()
        states = [state for _, state, _, _ in _rows(self.folder)]
        yield "I4 no trial is running", not {"RUNNING", "WAITING"} & set(states)
        is_confirmed = result.confirmation is not None and not result.is_stale(result.confirmation)
        yield "the finalists are confirmed", is_confirmed
        names = ("trials.csv", "front.csv", "report.html")
        yield "the outputs are there", all((self.folder / name).is_file() for name in names)
        n_rows = len((self.folder / "trials.csv").read_text(encoding="utf-8").splitlines()) - 1
        yield "trials.csv has every trial", n_rows == n_trials


def tidy(folder: Path) -> Iterator[Claim]:
    """What must hold whenever a coordinator could end by itself."""
    left = [str(path.relative_to(folder)) for path in folder.rglob("*") if _is_left_over(path)]
    yield f"I7 nothing half-written is left: {', '.join(left)}", not left
    yield "nothing is said to be going on", not (folder / LIVE_STATUS_NAME).exists()
    yield "nobody is said to hold the study", not (folder / HOLDER_NAME).exists()


def last_words(code: int, stderr: str) -> Iterator[Claim]:
    """Exit code and standard error belong together."""
    lines = stderr.strip().splitlines() or [""]
    yield f"I9 no traceback: {stderr}", code < 0 or "Traceback" not in stderr
    is_said = code not in LAST_LINES or bool(re.fullmatch(LAST_LINES[code], lines[-1]))
    yield f"I9 exit code {code} ends with its sentence: {lines[-1]}", is_said


def fronts_agree(result: StudyResult) -> bool:
    """Whether the front of the search is what comparing each with each gives."""
    signs = [-1.0 if objective.direction == "maximize" else 1.0 for objective in result.objectives]
    names = [objective.metric for objective in result.objectives]
    points = {
        trial.number: [sign * trial.values()[name] for sign, name in zip(signs, names, strict=True)]
        for trial in result.trials
        if trial.is_feasible
    }

    def dominates(a: list[float], b: list[float]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    best = {n for n, point in points.items() if not any(dominates(other, point) for other in points.values())}
    return best == {entry.trial.number for entry in front_view(replace(result, confirmation=None)).entries}


def _stored(folder: Path, result: StudyResult) -> Iterator[Claim]:
    """The database, read without the program."""
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    yield f"I5 the database is whole: {integrity}", integrity == "ok"
    rows = _rows(folder)
    yield "I2 trials are numbered one by one", [number for number, *_ in rows] == list(range(len(rows)))
    unfinished = [number for number, state, *_ in rows if state not in ("COMPLETE", "FAIL")]
    yield f"I2 only the last trial may be unfinished, not {unfinished}", unfinished in ([], [len(rows) - 1])
    final = {n: (state, found) for n, state, is_marked, found in rows if n not in unfinished and not is_marked}
    yield "I2 each finished trial has a record", set(final) == {trial.number for trial in result.trials}
    yield (
        "the values in Optuna are the record's",
        all(final.get(trial.number) == _in_optuna(trial, result) for trial in result.trials),
    )


def _rows(folder: Path) -> list[tuple[int, str, bool, list[float]]]:
    """Of each trial number, state, whether it is marked as interrupted, and values."""
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        trials = connection.execute("SELECT trial_id, number, state FROM trials ORDER BY number").fetchall()
        marks = connection.execute("SELECT trial_id FROM trial_user_attributes WHERE key = 'interrupted'").fetchall()
        found = connection.execute("SELECT trial_id, value FROM trial_values ORDER BY objective").fetchall()
    values: dict[int, list[float]] = {}
    for trial, value in found:
        values.setdefault(trial, []).append(value)
    return [(number, state, (trial,) in marks, values.get(trial, [])) for trial, number, state in trials]


def _in_optuna(trial: TrialRecord, result: StudyResult) -> tuple[str, list[float]]:
    if trial.state == "failed":
        return "FAIL", []
    return "COMPLETE", [trial.values()[objective.metric] for objective in result.objectives]


def _artifacts(folder: Path, result: StudyResult) -> Iterator[Claim]:
    for trial in result.trials:
        if trial.state == "failed":
            continue
        artifact = folder / "artifacts" / str(trial.outcome.artifact)
        is_whole = (artifact / "artifact.json").is_file() and not Artifact.read(artifact).damaged_files()
        yield f"I3 trial {trial.number} has its artifact, with the right hashes", is_whole
        samples = artifact / "measurements" / f"trial-{trial.number:05d}"
        is_kept = samples.with_suffix(".json").is_file() and samples.with_suffix(".npz").is_file()
        yield f"I3 trial {trial.number} has its raw samples", is_kept


def _facts(entry: Entry | Mapping[str, Any]) -> dict[str, Any]:
    """Everything of a trial but what samplers were told, as JSON has it."""
    values = json.loads(json.dumps(entry.to_json() if isinstance(entry, Entry) else entry))
    return {name: value for name, value in values.items() if name not in ("first_measurements", "comparability")}


def _is_left_over(path: Path) -> bool:
    return path.name.endswith((".tmp", "-journal", "-wal")) or path.name.startswith(".study.db")
