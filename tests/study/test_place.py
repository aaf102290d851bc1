from __future__ import annotations

import pytest

from explorer.errors import StudyDamaged, StudyIncompatible, UsageError
from explorer.study.place import PLACE_NAME, remember_place, study_place


def test_study_place_default_is_the_studys_own_file(tmp_path):
    assert study_place(tmp_path, None) == tmp_path / "study.db"


def test_study_place_sqlite_url_is_a_file_and_is_remembered(tmp_path):
    url = f"sqlite:///{tmp_path / 'other.db'}"
    assert study_place(tmp_path, url) == tmp_path / "other.db"
    remember_place(tmp_path, url)
    assert study_place(tmp_path, None) == tmp_path / "other.db"
    with pytest.raises(StudyIncompatible, match="without --storage"):
        study_place(tmp_path, "sqlite:///elsewhere.db")


def test_study_place_other_database_is_its_url(tmp_path):
    assert study_place(tmp_path, "postgresql://host/db") == "postgresql://host/db"


def test_remember_place_password_is_not_written(tmp_path):
    remember_place(tmp_path, "postgresql://user:secret@host/db")
    assert list(tmp_path.iterdir()) == []


def test_study_place_no_url_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is no URL of a database"):
        study_place(tmp_path, "my study.db")


def test_study_place_spoilt_memory_is_damage(tmp_path):
    (tmp_path / PLACE_NAME).write_text("{}")
    with pytest.raises(StudyDamaged, match="does not read"):
        study_place(tmp_path, None)
