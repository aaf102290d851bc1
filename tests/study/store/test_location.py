from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import StudyDamaged, StudyIncompatible, UsageError
from explorer.study.store.location import (
    STORAGE_NAME,
    remember_storage,
    storage_location,
    studies_folder,
    study_folder,
    url_without_secrets,
    without_secrets,
)


def test_study_place_default_is_the_studys_own_file(tmp_path):
    assert storage_location(tmp_path, None) == tmp_path / "study.db"


def test_study_place_sqlite_url_is_a_file_and_is_remembered(tmp_path):
    url = f"sqlite:///{tmp_path / 'other.db'}"
    assert storage_location(tmp_path, url) == tmp_path / "other.db"
    remember_storage(tmp_path, url)
    assert storage_location(tmp_path, None) == tmp_path / "other.db"
    with pytest.raises(StudyIncompatible, match="without --storage"):
        storage_location(tmp_path, "sqlite:///elsewhere.db")


def test_study_place_other_database_is_its_url(tmp_path):
    assert storage_location(tmp_path, "postgresql://host/db") == "postgresql://host/db"


def test_remember_place_password_is_not_written(tmp_path):
    remember_storage(tmp_path, "postgresql://user:secret@host/db")
    assert list(tmp_path.iterdir()) == []


def test_study_place_spoilt_memory_is_damage(tmp_path):
    (tmp_path / STORAGE_NAME).write_text("{}")
    with pytest.raises(StudyDamaged, match="does not read"):
        storage_location(tmp_path, None)


@pytest.mark.parametrize("url", ["postgresql://host/db?password=secret", "mysql://me:secret@host/db"])
def test_remember_place_value_that_may_be_a_secret_is_not_written(tmp_path, url):
    remember_storage(tmp_path, url)
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
    assert url_without_secrets(url) == shown


@given(
    st.text("abc:@/?#&=.%", min_size=1, max_size=12),
    st.sampled_from(["postgresql://me:{}@host/db", "mysql+driver://:{}@host:1/db?a=b", "db://host/db?password={}"]),
)
def test_shown_storage_any_password_is_hidden(noise, form):
    shown = url_without_secrets(form.format(f"<{noise}>"))
    assert not {"<", ">"} & set(shown)


def test_without_secrets_hides_password_and_values(tmp_path):
    url = "postgresql://me:sec%40ret@host/db?sslpassword=hidden"
    said = without_secrets("no entry for sec@ret or hidden at host", url)
    assert said == "no entry for *** or *** at host"


@pytest.mark.parametrize("url", ["my study.db", "postgresql:me:secret@host", "postgresql://me:secret"])
def test_study_place_no_url_is_refused_without_repeating_it(tmp_path, url):
    with pytest.raises(UsageError, match="is no URL of a database") as caught:
        storage_location(tmp_path, url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sqlite:////data/s.db?password=x", "postgresql://me:secret@host/db", "mysql://a:b@h/d?k=v"]
)
def test_storage_location_displayed_url_is_refused(tmp_path, url):
    with pytest.raises(
        UsageError, match=r"^--storage: expected the URL of a database, got one with \*\*\* in the place"
    ):
        storage_location(tmp_path, url_without_secrets(url))


def test_storage_location_password_with_asterisks_is_taken(tmp_path):
    assert storage_location(tmp_path, "postgresql://me:a***b@host/db") == "postgresql://me:a***b@host/db"


def test_study_place_other_than_the_known_one_shows_no_password(tmp_path):
    remember_storage(tmp_path, "postgresql://host/db")
    with pytest.raises(StudyIncompatible, match=r"without --storage postgresql://me:\*\*\*@host/db"):
        storage_location(tmp_path, "postgresql://me:secret@host/db")


LONG_NAME = pytest.param("a" * 300, id="long name")
LONG_PATH = pytest.param("a/" * 3000, id="long path")


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    for name in ("cifar10-cnn", "digits"):
        (tmp_path / "studies" / name).mkdir(parents=True)
        (tmp_path / "studies" / name / "space.yaml").write_text("name: x\n")
    return tmp_path / "studies"


def test_study_folder_name_is_found_under_the_studies_folder(studies, monkeypatch):
    assert study_folder("digits", studies) == studies / "digits"
    monkeypatch.setenv("EXPLORER_STUDIES", str(studies))
    assert study_folder("digits") == studies / "digits"
    monkeypatch.delenv("EXPLORER_STUDIES")
    monkeypatch.chdir(studies.parent)
    assert study_folder("digits") == Path("studies/digits")


def test_study_folder_path_is_taken_as_it_is(studies, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert study_folder(str(studies / "digits"), tmp_path / "elsewhere") == studies / "digits"


@pytest.mark.parametrize("study", ["digit", "digits2"])
def test_study_folder_unknown_name_suggests_the_nearest(studies, study):
    with pytest.raises(UsageError, match="did you mean digits"):
        study_folder(study, studies)


@pytest.mark.parametrize("study", ["", ".", "..", "a/b", "nul\x00byte", "../../etc", LONG_NAME, LONG_PATH])
def test_study_folder_odd_names_are_refused(studies, study):
    with pytest.raises(UsageError, match="no study"):
        study_folder(study, studies)


def test_study_folder_without_studies_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match=r"explore start SPACE\.yaml"):
        study_folder("digits", tmp_path / "studies")


def test_studies_folder_empty_variable_is_the_default(monkeypatch):
    monkeypatch.setenv("EXPLORER_STUDIES", "")
    assert studies_folder(None) == Path("studies")
