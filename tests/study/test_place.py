from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import StudyDamaged, StudyIncompatible, UsageError
from explorer.study.place import PLACE_NAME, remember_place, shown_storage, study_place, without_secrets


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


def test_study_place_spoilt_memory_is_damage(tmp_path):
    (tmp_path / PLACE_NAME).write_text("{}")
    with pytest.raises(StudyDamaged, match="does not read"):
        study_place(tmp_path, None)


@pytest.mark.parametrize("url", ["postgresql://host/db?password=secret", "mysql://me:secret@host/db"])
def test_remember_place_value_that_may_be_a_secret_is_not_written(tmp_path, url):
    remember_place(tmp_path, url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////data/s.db", "sqlite:////data/s.db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:se/cr?et@host/db", "postgresql://me:***"),
        ("postgresql://me:secret@ret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?password=secret&a=1", "postgresql://host/db?***"),
        ("postgresql://me@host/db?password=secret", "postgresql://me@host/db?***"),
        ("sqlite:///s.db?key=se@cret", "sqlite://:***"),
        ("postgresql:/me:secret@host/db", ":***@host/db"),
        ("", ""),
    ],
)
def test_shown_storage_hides_what_may_be_a_secret(url, shown):
    assert shown_storage(url) == shown


@given(
    st.text("abc:@/?#&=.%", min_size=1, max_size=12),
    st.sampled_from(["postgresql://me:{}@host/db", "mysql+driver://:{}@host:1/db?a=b", "db://host/db?password={}"]),
)
def test_shown_storage_any_password_is_hidden(noise, form):
    shown = shown_storage(form.format(f"<{noise}>"))
    assert not {"<", ">"} & set(shown)


def test_without_secrets_hides_password_and_values(tmp_path):
    url = "postgresql://me:sec%40ret@host/db?sslpassword=hidden"
    said = without_secrets("no entry for sec@ret or hidden at host", url)
    assert said == "no entry for *** or *** at host"


@pytest.mark.parametrize("url", ["my study.db", "postgresql:me:secret@host", "postgresql://me:secret"])
def test_study_place_no_url_is_refused_without_repeating_it(tmp_path, url):
    with pytest.raises(UsageError, match="is no URL of a database") as caught:
        study_place(tmp_path, url)
    assert "secret" not in str(caught.value)


def test_study_place_other_than_the_known_one_shows_no_password(tmp_path):
    remember_place(tmp_path, "postgresql://host/db")
    with pytest.raises(StudyIncompatible, match=r"without --storage postgresql://me:\*\*\*@host/db"):
        study_place(tmp_path, "postgresql://me:secret@host/db")
