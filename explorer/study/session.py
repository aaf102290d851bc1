"""Session: a study that is open for writing, which proposes trials and stores their outcomes.

Every step leaves the study whole. A trial begins in the database; its outcome gets a verdict, is written to the
journal, and only then to the database. Opening a study completes what a killed coordinator left: outcomes that only the
journal has are written to the database, other running trials are marked as interrupted. Interrupted trials do not
count, and the proposer, which depends on finished trials alone, proposes their variants again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer.records import TrialOutcome, Variant
from explorer.space.values import SearchSpace, Vocabulary
from explorer.study.comparability import comparability_key, identity_difference, incompatible
from explorer.study.confirm.confirmation import Confirmation, read_confirmation, remove_confirmations
from explorer.study.evaluation import CanReachFront, Prepared
from explorer.study.read import StoredStudy, read_study, require_no_trials, study_result
from explorer.study.rejudging import judged_again, level_of, outdated
from explorer.study.result import StudyResult, TrialRecord, compacted
from explorer.study.search.first_measurements import FirstMeasurements
from explorer.study.search.grid import Grid
from explorer.study.search.proposer import Proposer
from explorer.study.search.racing import Racing, always
from explorer.study.store.facts import StudyFacts
from explorer.study.store.journal import Entry, Journal
from explorer.study.store.location import StorageLocation, StudyLocation, remember_storage, storage_location
from explorer.study.store.optuna_storage import StudyStorage
from explorer.study.verdict import judge, violation_shares
from explorer.system.files import write_bytes, write_text
from explorer.system.hashing import cache_root

SPACE_NAME = "space.yaml"
NETWORK_NAME = "network.json"


def stored_study(space: SearchSpace, location: StudyLocation) -> StoredStudy | None:
    """Return what is stored of the study; None when it is new.

    Raises StudyIncompatible, listing what changed, when it was started from another search space; StudyDamaged.
    """
    from explorer.space.write import difference

    database = storage_location(location.folder, location.storage_url)
    stored = read_study(database, space.name, is_only_one_taken=location.storage_url is None)
    if stored is None:
        require_no_trials(location.folder, database)
        return None
    changes = difference(stored.facts.space, space)
    if stored.facts.space.name != space.name:
        changes.insert(0, f"name: {stored.facts.space.name} -> {space.name}")
    if changes:
        raise incompatible(space.name, "the search space", changes)
    return stored


class Session:
    """An open study. Its methods raise StudyError, StudyDamaged, or OSError when the disk is full."""

    def __init__(self, storage: StudyStorage, stored: StoredStudy, vocabulary: Vocabulary, folder: Path) -> None:
        self.facts = stored.facts
        self.grid = Grid(self.facts.space, vocabulary)
        self._folder = folder
        self._storage = storage
        self._journal = Journal(folder)
        self._first_measurements = FirstMeasurements(cache_root() / "first_measurements", self.facts.comparability)
        self._reference_point = stored.reference_point
        self._confirmation = read_confirmation(folder)
        search = self.facts.space.search
        directions = [objective.direction for objective in self.facts.space.objectives]
        self._proposer = Proposer(self.grid, directions, search.sampler, search.seed)
        self._records: list[TrialRecord] = []
        self._racing = Racing(self.facts.space)
        self._baseline_first: Mapping[str, float] = {}
        self._levels: dict[int, NDArray[np.float64]] = {}
        for entry in stored.entries:
            self._take(entry)
        self._finish_interrupted()

    @property
    def n_finished(self) -> int:
        """Number of trials with a final state; interrupted ones do not count."""
        return len(self._records)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.facts.space

    def result(self) -> StudyResult:
        """Return everything found so far."""
        return study_result(self.facts, self._folder, tuple(self._records), self._reference_point, self._confirmation)

    def variants(self) -> set[Variant]:
        """Return the variants of the finished trials."""
        return {record.variant for record in self._records}

    def next_variant(self) -> Variant | None:
        """Return the variant to try next: first the baseline; None when every variant was tried."""
        if not self._records:
            return self.space.baseline()
        index = self._proposer.next()
        return None if index is None else self.grid.variant(index)

    def begin(self, variant: Variant, started: float | None = None) -> int:
        """Begin a trial of `variant` and return its number. `started` is a Unix time in seconds, by default now."""
        index = self.grid.index(variant)
        params = {} if index is None else self.grid.params(index)
        distributions = {} if index is None else self.grid.distributions
        return self._storage.begin(variant, params, distributions, time.time() if started is None else started)

    def finish(self, number: int, outcome: TrialOutcome, started: float, finished: float | None = None) -> TrialRecord:
        """Decide a trial's verdict and store its outcome; its duration is at least 0, even if the clock was set
        back.
        """
        baseline = None if not self._records else self.result().baseline_values()
        state, checked, violations = judge(outcome, self.space, baseline)
        record = TrialRecord(number, state, checked, violations, started, max(started, finished or time.time()))
        entry = Entry(record, self._first_measurements_of(record), self.facts.comparability)
        self._journal.write(entry)
        self._storage.finish(entry, self.space.objectives)
        self._take(entry)
        return record

    def rejudge(self) -> int:
        """Judge trials again for which a later one showed a lower quiet level; return how many. Raises OSError.

        The others get a new verdict where the baseline changed. Samplers keep what they got.
        """
        if not self._levels:
            return 0
        lowest, places = outdated(self._levels)
        if not places:
            return 0
        made = {place: judged_again(self.result(), self._records[place], lowest) for place in places}
        self._levels |= dict.fromkeys(places, lowest)  # also of trials whose slices are gone
        self._racing = Racing(self.space)
        for place, record in enumerate(self._records):
            baseline = None if place == 0 else self.result().baseline_values()
            state, checked, violations = judge(made.get(place) or record.outcome, self.space, baseline)
            changed = compacted(replace(record, state=state, outcome=checked, violations=violations))
            if changed != record:
                entry = Entry(changed, self._first_measurements_of(changed), self.facts.comparability)
                self._journal.write(entry)
                self._storage.replace(entry, self.space.objectives)
                self._records[place] = changed
            self._racing.add(changed)
        return sum(outcome is not None for outcome in made.values())

    def can_reach_front(self) -> CanReachFront:
        """Return the racing rule for the next trial; the baseline always gets the whole timing budget."""
        return self._racing.rule() if self._records else always

    def take_confirmation(self, confirmation: Confirmation) -> None:
        """Use a confirmation that is stored in the study's folder."""
        self._confirmation = confirmation

    def interrupt(self, number: int) -> None:
        """End a running trial without an outcome."""
        self._storage.interrupt(number)

    def close(self) -> None:
        """Close the database."""
        self._storage.close()

    def _first_measurements_of(self, record: TrialRecord) -> Mapping[str, float]:
        """Return the metrics that samplers get; for an invalid trial those that an earlier study measured, if any."""
        if record.state == "failed":
            return {}
        first = self._first_measurements
        return first.stored(record.outcome) if record.state == "invalid" else first.of(record.outcome)

    def _take(self, entry: Entry) -> None:
        if (level := level_of(entry.record)) is not None:
            self._levels[len(self._records)] = level
        record = compacted(entry.record)
        self._records.append(record)
        self._racing.add(record)
        if record.state == "failed":
            self._proposer.observe(record.variant, None, {})
            return
        if record.number == 0:
            self._baseline_first = {**record.values(), **entry.first_measurements}
            self._fix_reference_point(record)
        # Without a baseline, whose record may have been removed, there is nothing to compare with.
        has_objectives = all(objective.metric in entry.first_measurements for objective in self.space.objectives)
        if not self._baseline_first or not has_objectives:
            self._proposer.observe(record.variant, None, {})
            return
        values = tuple(entry.first_measurements[objective.metric] for objective in self.space.objectives)
        shares = violation_shares(self.space.constraints, entry.first_measurements, self._baseline_first)
        self._proposer.observe(record.variant, values, shares)

    def _fix_reference_point(self, baseline: TrialRecord) -> None:
        if self._reference_point is None:
            from explorer.pareto.hypervolume import reference_point

            result = self.result()
            worst = {metric.name: result.task.reference(metric, result.task_facts) for metric in result.task.metrics}
            self._reference_point = reference_point(baseline.values(), self.space.objectives, worst)
            self._storage.set_reference_point(self._reference_point)

    def _finish_interrupted(self) -> None:
        """Store outcomes that only the journal has, and mark the other running trials as interrupted."""
        for number, attributes in self._storage.unfinished():
            entry = self._journal.read(number, self.space)
            is_its_own = (
                entry is not None
                and entry.record.variant.to_json() == attributes.get("variant")
                and entry.record.started == attributes.get("started")
            )
            if entry is not None and is_its_own:
                self._storage.finish(entry, self.space.objectives)
                self._take(entry)
            else:
                self._storage.interrupt(number)


def open_session(
    space: SearchSpace,
    vocabulary: Vocabulary,
    location: StudyLocation,
    prepared: Prepared,
    stored: StoredStudy | None,
) -> Session:
    """Open the stored study, or create a new one.

    A stored study whose baseline has no result begins anew, since nothing in it is comparable, so that the baseline is
    trial 0. Raises StudyIncompatible, listing what changed, when data, network or software differ from those of a
    stored study whose baseline has a result.
    """
    folder, storage_url = location.folder, location.storage_url
    database = storage_location(folder, storage_url)
    facts = StudyFacts(space, prepared.identity, prepared.provenance, comparability_key(space, prepared))
    if stored is not None:
        networks = (folder / NETWORK_NAME, prepared.network_description)
        changes = identity_difference(stored.facts.identity, prepared.identity, networks)
        if changes and _has_baseline(stored, folder):
            raise incompatible(space.name, "data, network, software or device", changes)
        session = _resumed(stored, facts, database, vocabulary, folder)
        if session.n_finished and session.result().baseline is not None:
            return session
        session.close()
        Journal(folder).remove(0)
    remove_confirmations(folder)
    from explorer.space.write import dump_space

    write_text(folder / SPACE_NAME, dump_space(space))
    if prepared.network_description is not None:
        write_bytes(folder / NETWORK_NAME, prepared.network_description.read_bytes())
    remember_storage(folder, storage_url)
    storage = StudyStorage.create(database, facts)
    return Session(storage, StoredStudy(facts, (), None), vocabulary, folder)


def _has_baseline(stored: StoredStudy, folder: Path) -> bool:
    """Return whether trial 0 has a result, even if only in the journal. Raises StudyDamaged."""
    first = next((entry for entry in stored.entries if entry.record.number == 0), None) or Journal(folder).read(0)
    return first is not None and first.record.state != "failed"


def _resumed(
    stored: StoredStudy, facts: StudyFacts, database: StorageLocation, vocabulary: Vocabulary, folder: Path
) -> Session:
    """Open the stored study with the limits (trials, time) of `facts`."""
    storage = StudyStorage.open(database, facts.space.name)
    try:
        current = replace(stored.facts, space=facts.space)
        if current.to_json() != stored.facts.to_json():
            storage.set_facts(current)
        return Session(storage, replace(stored, facts=current), vocabulary, folder)
    except BaseException:
        storage.close()
        raise
