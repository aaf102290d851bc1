"""Fork: a new study that adopts the trials of an old one that still apply.

It reads the old study's journal and not its database, so it also recovers a study with a damaged database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from explorer.errors import StudyDamaged, UsageError
from explorer.records import Origin
from explorer.runtimes.artifact import FILE_NAME
from explorer.study.session import Session
from explorer.study.store.journal import Entry, Journal
from explorer.study.verdict import judge
from explorer.system.files import new_folder

_ARTIFACTS = "artifacts"


class Fork:
    """The trials of the study in `old_folder`, which the session of a new study in `new_folder` adopts."""

    def __init__(self, old_folder: Path, new_folder: Path) -> None:
        if old_folder.resolve() == new_folder.resolve():
            raise UsageError(f"--fork needs another name: {new_folder} is the study to fork from")
        if not Journal(old_folder).numbers():
            raise UsageError(f"nothing to fork from: {old_folder} holds no finished trial")
        self._old_folder = old_folder
        self._new_folder = new_folder
        self._n_adopted = 0
        self._refused: Counter[str] = Counter()

    def adopt_baseline(self, session: Session) -> None:
        """Adopt the baseline, if it applies and the session has none. Must be called first."""
        if session.n_finished == 0:
            for entry in self._entries(Counter()):
                if entry.record.variant == session.space.baseline() and not self._refusal(entry, session):
                    return self._adopt(entry, session)
        return None

    def adopt_others(self, session: Session) -> str:
        """Adopt all other trials that apply; return a sentence about which did, and why the others did not."""
        known = session.variants()
        for entry in self._entries(self._refused):
            if entry.record.variant in known:
                continue
            if reason := self._refusal(entry, session):
                self._refused[reason] += 1
            else:
                self._adopt(entry, session)
                known.add(entry.record.variant)
        refused = "; ".join(f"{n} did not: {reason}" for reason, n in self._refused.most_common())
        return f"{self._n_adopted} trials of {self._old_folder.name} apply" + (f"; {refused}" if refused else "")

    def _entries(self, unread: Counter[str]) -> Iterator[Entry]:
        """Yield the old study's entries; unreadable ones are counted in `unread`."""
        journal = Journal(self._old_folder)
        for number in journal.numbers():
            try:
                entry = journal.read(number)
            except StudyDamaged:
                unread["their record is damaged"] += 1
                continue
            if entry is not None:
                yield entry

    def _refusal(self, entry: Entry, session: Session) -> str:
        """Return why an old trial does not apply to the new study; "" when it does."""
        variant = entry.record.variant
        if entry.record.state == "failed":
            return "they failed"
        if entry.record.state == "invalid":
            return "their measurements are not valid"
        if session.grid.index(variant) is None and variant != session.space.baseline():
            return "their variants are not in this search space"
        if entry.comparability != session.facts.comparability:
            return "they were measured with other data, software or prices, another network, or on another device"
        baseline = session.result().baseline_values() if session.n_finished else None
        if judge(entry.record.outcome, session.space, baseline)[0] == "failed":
            return "they lack a metric that is needed now"
        # A study that was published to be looked at has the measurements without the artifacts' files.
        if entry.record.outcome.artifact and not (self._artifact(self._old_folder, entry) / FILE_NAME).is_file():
            return "their artifacts are gone"
        return ""

    def _adopt(self, entry: Entry, session: Session) -> None:
        record = entry.record
        if record.outcome.artifact and not self._artifact(self._new_folder, entry).is_dir():
            with new_folder(self._artifact(self._new_folder, entry)) as draft:
                _copy(self._artifact(self._old_folder, entry), draft)
        origin = Origin(self._old_folder.name, record.number)
        number = session.begin(record.variant, record.started)
        session.finish(number, replace(record.outcome, forked_from=origin), record.started, record.finished)
        self._n_adopted += 1

    @staticmethod
    def _artifact(folder: Path, entry: Entry) -> Path:
        return folder / _ARTIFACTS / str(entry.record.outcome.artifact)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder's files one by one into an existing folder, since `shutil.copytree` hides a full disk's errors.

    Everything but files and folders is ignored. Raises OSError.
    """
    for entry in sorted(source.rglob("*")):
        place = target / entry.relative_to(source)
        if entry.is_dir():
            place.mkdir(exist_ok=True)
        elif entry.is_file():
            place.write_bytes(entry.read_bytes())
