"""Session: a study that is open for writing: asked for the next trial, told its outcome.

Every step leaves the study whole. A trial begins in the database; its outcome is judged, kept in the journal, and only
then told to the database. Opening a study finishes what a killed coordinator left: trials whose outcome is in the
journal are told, the others are marked as interrupted. Interrupted trials do not count, and the proposer, which
depends on finished trials alone, proposes their variants again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from explorer.errors import StudyIncompatible
from explorer.files import write_text
from explorer.records import TrialOutcome, Variant
from explorer.space.values import SearchSpace, Vocabulary
from explorer.study.confirmation import Confirmation
from explorer.study.confirmation_file import read_confirmation, remove_confirmations
from explorer.study.evaluation import IsWorthMore, Prepared
from explorer.study.evidence import Evidence
from explorer.study.facts import StudyFacts
from explorer.study.grid import Grid
from explorer.study.journal import Entry, Journal
from explorer.study.judge import judge, violation_shares
from explorer.study.kept import kept
from explorer.study.place import Place, remember_place, study_place
from explorer.study.proposer import Proposer
from explorer.study.read import StoredStudy, read_study, require_no_trials, study_result
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.storage import StudyStorage
from explorer.study.world import identity_difference, world_key
from explorer.study.worth import Worth, always

SPACE_NAME = "space.yaml"


def stored_study(space: SearchSpace, folder: Path, storage_url: str | None) -> StoredStudy | None:
    """What is stored of the study, None when it is new.

    Raises StudyIncompatible, with what changed, when it was started from another search space; StudyDamaged.
    """
    from explorer.space.write import difference

    place = study_place(folder, storage_url)
    is_own = storage_url is None
    stored = read_study(place, space.name, is_only_one_taken=is_own)
    if stored is None:
        require_no_trials(folder, place)
        return None
    changes = difference(stored.facts.space, space)
    if stored.facts.space.name != space.name:
        changes.insert(0, f"name: {stored.facts.space.name} -> {space.name}")
    if changes:
        raise _incompatible(space.name, "the search space", changes)
    return stored


class Session:
    """An open study. Its methods raise StudyError, StudyDamaged, or OSError when the disk is full."""

    def __init__(
        self, storage: StudyStorage, stored: StoredStudy, vocabulary: Vocabulary, folder: Path, evidence: Path
    ) -> None:
        self.facts = stored.facts
        self.grid = Grid(self.facts.space, vocabulary)
        self._folder = folder
        self._storage = storage
        self._journal = Journal(folder)
        self._evidence = Evidence(evidence, self.facts.world)
        self._reference_point = stored.reference_point
        self._confirmation = read_confirmation(folder)
        search = self.facts.space.search
        directions = [objective.direction for objective in self.facts.space.objectives]
        self._proposer = Proposer(self.grid, directions, search.sampler, search.seed)
        self._records: list[TrialRecord] = []
        self._worth = Worth(self.facts.space)
        self._baseline_evidence: Mapping[str, float] = {}
        for entry in stored.entries:
            self._take(entry)
        self._finish_interrupted()

    @property
    def n_finished(self) -> int:
        """How many trials have a final state; interrupted ones do not count."""
        return len(self._records)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.facts.space

    def result(self) -> StudyResult:
        """Everything found so far."""
        return study_result(self.facts, self._folder, tuple(self._records), self._reference_point, self._confirmation)

    def variants(self) -> set[Variant]:
        """The variants of the finished trials."""
        return {record.variant for record in self._records}

    def next_variant(self) -> Variant | None:
        """The variant to try next: first the baseline; None when every variant was tried."""
        if not self._records:
            return self.space.baseline()
        index = self._proposer.next()
        return None if index is None else self.grid.variant(index)

    def begin(self, variant: Variant, started: float | None = None) -> int:
        """Begin a trial of `variant`; returns its number. `started` is now, or seconds of the Unix clock."""
        index = self.grid.index(variant)
        params = {} if index is None else self.grid.params(index)
        distributions = {} if index is None else self.grid.distributions
        return self._storage.begin(variant, params, distributions, time.time() if started is None else started)

    def finish(self, number: int, outcome: TrialOutcome, started: float, finished: float | None = None) -> TrialRecord:
        """Judge the outcome of a running trial, keep it, and tell it to the database.

        It takes no time at all, rather than less, where the clock was set back meanwhile.
        """
        baseline = None if not self._records else self.result().baseline_values()
        state, checked, violations = judge(outcome, self.space, baseline)
        record = TrialRecord(number, state, checked, violations, started, max(started, finished or time.time()))
        entry = Entry(record, self._evidence_of(record), self.facts.world)
        self._journal.write(entry)
        self._storage.finish(entry, self.space.objectives)
        self._take(entry)
        return record

    def is_worth_more(self) -> IsWorthMore:
        """Whether the next trial, once it was measured briefly, deserves the whole budget; the baseline always does."""
        return self._worth.beside() if self._records else always

    def take_confirmation(self, confirmation: Confirmation) -> None:
        """Take note of a confirmation that is in the study's folder."""
        self._confirmation = confirmation

    def interrupt(self, number: int) -> None:
        """End a running trial that will have no outcome."""
        self._storage.interrupt(number)

    def close(self) -> None:
        """Let the database go."""
        self._storage.close()

    def _evidence_of(self, record: TrialRecord) -> Mapping[str, float]:
        """What samplers are told: of an invalid trial what an earlier study measured of the same, if one did."""
        if record.state == "failed":
            return {}
        outcome = record.outcome
        return self._evidence.remembered(outcome) if record.state == "invalid" else self._evidence.of(outcome)

    def _take(self, entry: Entry) -> None:
        """Take note of a finished trial."""
        record = kept(entry.record)
        self._records.append(record)
        self._worth.add(record)
        if record.state == "failed":
            self._proposer.observe(record.variant, None, {})
            return
        if record.number == 0:
            self._baseline_evidence = {**record.values(), **entry.evidence}
            self._fix_reference_point(record)
        # Where somebody removed the baseline the study begins anew: there is nothing to compare with, or to be told.
        is_told = all(objective.metric in entry.evidence for objective in self.space.objectives)
        if not self._baseline_evidence or not is_told:
            self._proposer.observe(record.variant, None, {})
            return
        values = tuple(entry.evidence[objective.metric] for objective in self.space.objectives)
        shares = violation_shares(self.space.constraints, entry.evidence, self._baseline_evidence)
        self._proposer.observe(record.variant, values, shares)

    def _fix_reference_point(self, baseline: TrialRecord) -> None:
        if self._reference_point is None:
            from explorer.pareto.hypervolume import reference_point

            self._reference_point = reference_point(baseline.values(), self.space.objectives, self.facts.n_classes)
            self._storage.set_reference_point(self._reference_point)

    def _finish_interrupted(self) -> None:
        """Tell the outcomes that the journal has and the database has not; mark the other running trials."""
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
    folder: Path,
    prepared: Prepared,
    stored: StoredStudy | None,
    evidence: Path,
    storage_url: str | None,
) -> Session:
    """Go on with the stored study, or make a new one.

    A study whose baseline has no result holds nothing that could be compared: it begins anew, so that the baseline is
    trial 0. Raises StudyIncompatible, with what changed, when data or software are not those of the stored study.
    """
    place = study_place(folder, storage_url)
    facts = StudyFacts(space, prepared.identity, prepared.provenance, prepared.n_classes, world_key(space, prepared))
    if stored is not None:
        if changes := identity_difference(stored.facts.identity, prepared.identity):
            raise _incompatible(space.name, "data, software or device", changes)
        session = _resumed(stored, facts, place, vocabulary, folder, evidence)
        if session.n_finished and session.result().baseline is not None:
            return session
        session.close()
        Journal(folder).remove(0)
    remove_confirmations(folder)
    from explorer.space.write import dump_space

    write_text(folder / SPACE_NAME, dump_space(space))
    remember_place(folder, storage_url)
    storage = StudyStorage.create(place, facts)
    return Session(storage, StoredStudy(facts, (), None), vocabulary, folder, evidence)


def _resumed(
    stored: StoredStudy, facts: StudyFacts, place: Place, vocabulary: Vocabulary, folder: Path, evidence: Path
) -> Session:
    """The stored study, with the limits (trials, time) of `facts`."""
    storage = StudyStorage.open(place, facts.space.name)
    try:
        current = replace(stored.facts, space=facts.space)
        if current.to_json() != stored.facts.to_json():
            storage.set_facts(current)
        return Session(storage, replace(stored, facts=current), vocabulary, folder, evidence)
    except BaseException:
        storage.close()
        raise


def _incompatible(name: str, what: str, changes: list[str]) -> StudyIncompatible:
    lines = "\n".join(f"  {change}" for change in changes)
    return StudyIncompatible(
        f"{what} changed since the study {name!r} was started:\n{lines}\n"
        "change it back, or start a new study from the trials that still apply with --fork NAME"
    )
