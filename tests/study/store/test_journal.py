from __future__ import annotations

import json
import math

import pytest
from fakes import known_metrics, make_observation
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import StudyDamaged
from explorer.observation import Reason
from explorer.records import Failure, Measurement, Origin, Stage, TrialOutcome, Variant
from explorer.study.result import TrialRecord
from explorer.study.store.facts import checksummed, from_checksummed
from explorer.study.store.journal import Entry, Journal
from explorer.study.store.validation import LARGEST_MEASURED

numbers = st.floats(allow_nan=False, allow_infinity=False)
measured = st.floats(-LARGEST_MEASURED, LARGEST_MEASURED)
measurements = st.one_of(
    st.builds(Measurement, measured, measured, measured, st.integers(1, 10**6)),
    st.builds(Measurement.unknown, st.text(max_size=20)),
)
outcomes = st.builds(
    TrialOutcome,
    variant=st.builds(Variant, width=st.one_of(numbers, st.tuples(numbers, numbers)), runtime=st.text(max_size=9)),
    metrics=st.dictionaries(st.text(max_size=9), measurements, max_size=4),
    artifact=st.one_of(st.none(), st.from_regex("[A-Za-z0-9_-]{1,9}", fullmatch=True)),
    stages=st.tuples(st.builds(Stage, st.text(max_size=9), numbers, st.booleans())),
    observed=st.one_of(st.none(), st.builds(make_observation, st.floats(1e-3, 1e3), measured)),
    failure=st.one_of(
        st.none(), st.builds(Failure.reported, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
    ),
    reasons=st.one_of(st.just(()), st.tuples(st.builds(lambda ratio: Reason("steal", {"ratio": ratio}), measured))),
    forked_from=st.one_of(st.none(), st.builds(Origin, st.text(max_size=9), st.integers(0, 10**6))),
)
entries = st.builds(
    Entry,
    st.builds(
        TrialRecord,
        number=st.integers(0, 10**6),
        state=st.sampled_from(["complete", "infeasible", "failed", "invalid"]),
        outcome=outcomes,
        violations=st.dictionaries(st.text(max_size=9), st.one_of(numbers, st.just(math.inf)), max_size=3),
        started=numbers,
        finished=numbers,
    ),
    st.dictionaries(st.text(max_size=9), numbers, max_size=3),
    st.text(max_size=20),
)


@given(entries)
def test_entry_any_survives_json_and_seal(entry):
    assert Entry.from_json(json.loads(json.dumps(entry.to_json(), allow_nan=False))) == entry
    assert from_checksummed(json.dumps(checksummed(entry))) == entry


def an_entry(number: int) -> Entry:
    metrics = {name: Measurement(value) for name, value in known_metrics(Variant()).items()}
    outcome = TrialOutcome(Variant(), metrics, "a1")
    return Entry(TrialRecord(number, "complete", outcome, {}, 1.0, 2.0), {}, "w")


def test_from_checksummed_one_changed_value_is_noticed():
    values = checksummed(an_entry(3))
    values["entry"]["outcome"]["metrics"]["latency_ms"]["value"] = 1.0
    with pytest.raises(ValueError, match="checksum"):
        from_checksummed(json.dumps(values))


def test_journal_entries_come_by_number(tmp_path):
    journal = Journal(tmp_path)
    for number in (10, 2, 0):
        journal.write(an_entry(number))
    assert [journal.read(number).record.number for number in journal.numbers()] == [0, 2, 10]
    journal.remove(2)
    journal.remove(2)
    assert journal.numbers() == [0, 10]
    assert journal.read(2) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"trial": 0}', "null"])
def test_journal_spoilt_entry_is_damage_that_names_the_file(tmp_path, text):
    journal = Journal(tmp_path)
    journal.write(an_entry(4))
    (tmp_path / "trials" / "4.json").write_text(text)
    with pytest.raises(StudyDamaged, match=r"4\.json is not a whole record"):
        journal.read(4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("started", "x"),
        ("finished", True),
        ("violations", {"accuracy >= 1": "x"}),
        ("first_measurements", {"accuracy": [1]}),
        ("comparability", None),
        ("state", "done"),
        ("trial", -1),
    ],
)
def test_journal_entry_with_a_value_of_another_kind_is_damage(tmp_path, name, value):
    journal = Journal(tmp_path)
    journal.write(an_entry(4))
    path = tmp_path / "trials" / "4.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(StudyDamaged, match=r"4\.json is not a whole record"):
        journal.read(4)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_journal_number_that_is_none_is_damage(tmp_path, number):
    journal = Journal(tmp_path)
    journal.write(an_entry(4))
    path = tmp_path / "trials" / "4.json"
    path.write_text(path.read_text().replace('"value": 4.0', f'"value": {number}'))
    with pytest.raises(StudyDamaged, match=r"4\.json is not a whole record"):
        journal.read(4)


@pytest.mark.parametrize("artifact", ["../../elsewhere", "..", "", "a/b", "/etc", "a\x00b", "a\n", 3, ["a"]])
def test_read_artifact_that_is_no_name_is_damage(tmp_path, artifact):
    """A study may come from somebody else: copying or loading `artifacts/<name>` must stay in its folder."""
    journal = Journal(tmp_path)
    journal.write(an_entry(3))
    path = tmp_path / "trials" / "3.json"
    values = json.loads(path.read_text())
    values["outcome"]["artifact"] = artifact
    path.write_text(json.dumps(values))
    with pytest.raises(StudyDamaged, match=r"3\.json is not a whole record of a trial"):
        journal.read(3)
