from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start

from explorer.errors import StudyDamaged, UsageError
from explorer.records import Failure
from explorer.study.read import load_result


@pytest.fixture
def study(tmp_path: Path) -> Path:
    start(small_space(n_trials=12), tmp_path / "small")
    return tmp_path / "small"


def test_load_result_failed_trials_and_all_are_what_was_returned(tmp_path):
    evaluator = FakeEvaluator(failure=lambda variant, number: Failure.reported("x", "y") if number % 2 else None)
    result = start(small_space(n_trials=6), tmp_path, evaluator)
    assert load_result(tmp_path) == result
    assert load_result(tmp_path, "small").provenance["identity"] == {"data": {"fingerprint": "d0"}, "torch": "2.15"}


def test_load_result_running_study_is_read_without_disturbing_it(tmp_path):
    seen: list[int] = []

    def read(event: str) -> None:
        if event.startswith("progress measuring"):
            seen.append(len(load_result(tmp_path).trials))

    result = start(small_space(n_trials=4), tmp_path, view=RecordingView(read))
    assert seen == [0, 1, 2, 3]
    assert len(result.trials) == 4


def test_load_result_renamed_folder_holds_the_same_study(study):
    study.rename(study.with_name("renamed"))
    assert len(load_result(study.with_name("renamed")).trials) == 12


def test_load_result_no_study_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"no study in .*: `explore start"):
        load_result(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 100, 4096, 0.5, 0.95])
def test_load_result_truncated_database_is_damaged_and_left_as_it_is(study, keep):
    path = study / "study.db"
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if keep == 0 or isinstance(keep, int) else int(keep * len(whole))])
    before = path.read_bytes()
    with pytest.raises(StudyDamaged, match=r"damaged.*left as it is.*--fork NAME"):
        load_result(study)
    with pytest.raises(StudyDamaged, match=r"damaged"):
        start(small_space(n_trials=12), study)
    assert path.read_bytes() == before


def test_load_result_overwritten_database_is_damaged_or_unharmed(study):
    """A kilobyte anywhere: either it was not part of what is read, or it is noticed; never is a wrong value shown."""
    expected = load_result(study)
    path = study / "study.db"
    whole = path.read_bytes()
    outcomes = []
    for seed in range(40):
        generator = random.Random(seed)
        at = generator.randrange(len(whole) - 1024)
        path.write_bytes(whole[:at] + (bytes(1024) if seed % 2 else generator.randbytes(1024)) + whole[at + 1024 :])
        try:
            outcomes.append(load_result(study))
        except StudyDamaged as damage:
            outcomes.append(str(damage))
    assert all(outcome == expected or "--fork NAME" in str(outcome) for outcome in outcomes)
    assert sum(isinstance(outcome, str) for outcome in outcomes) > 10


def test_load_result_missing_database_of_a_study_with_trials_is_damage(study):
    (study / "study.db").unlink()
    with pytest.raises(StudyDamaged, match="does not hold the study whose 12 trials"):
        load_result(study)
    with pytest.raises(StudyDamaged, match="does not hold the study whose 12 trials"):
        start(small_space(n_trials=12), study)


def test_load_result_value_changed_in_the_database_is_damage(study):
    with closing(sqlite3.connect(study / "study.db")) as connection:
        change = "SET value_json = replace(value_json, 'complete', 'infeasible') WHERE key = 'record'"
        connection.execute(f"UPDATE trial_user_attributes {change}")
        connection.commit()
    with pytest.raises(StudyDamaged, match="a trial's record does not have its checksum"):
        load_result(study)


def test_load_result_trial_that_is_there_twice_is_damage(study):
    with closing(sqlite3.connect(study / "study.db")) as connection:
        connection.execute("CREATE TABLE twice AS SELECT * FROM trial_user_attributes")
        connection.execute("DROP TABLE trial_user_attributes")
        connection.execute("ALTER TABLE twice RENAME TO trial_user_attributes")
        connection.execute("INSERT INTO trial_user_attributes SELECT * FROM trial_user_attributes")
        connection.commit()
    with pytest.raises(StudyDamaged, match="trial 0 is there twice"):
        load_result(study)


def test_load_result_after_a_death_inside_a_transaction_sees_the_state_before_it(study):
    script = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA cache_size=1")  # spill to the file before the commit: a hot journal remains
connection.execute("UPDATE trial_user_attributes SET value_json = value_json || zeroblob(3000)")
os.kill(os.getpid(), 9)
"""
    expected = load_result(study)
    died = subprocess.run([sys.executable, "-c", script, str(study / "study.db")], check=False)
    assert died.returncode == -signal.SIGKILL
    assert os.path.getsize(study / "study.db-journal") > 0
    assert load_result(study) == expected
