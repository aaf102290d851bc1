from __future__ import annotations

from pathlib import Path

import pytest

from explorer.errors import UsageError
from explorer.study.locate import studies_folder, study_folder

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
