"""Where a network of the user's own comes from is known before any of its code runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch  # noqa: F401  # whose place is asked for

from explorer.models.own_source import is_own, source_file

RAISING = "raise RuntimeError('this must not run')\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_source_file_in_the_current_directory_is_found_before_any_other(here, tmp_path, monkeypatch):
    for folder in (here, tmp_path):
        (folder / "nets_of_mine.py").write_text(RAISING)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert source_file("nets_of_mine:make") == here / "nets_of_mine.py"
    assert "nets_of_mine" not in sys.modules


@pytest.mark.parametrize(
    ("model", "file"),
    [("box.nets:make", "box/nets.py"), ("box:make", "box/__init__.py"), ("box.a.b.c:make", "box/a/b/c.py")],
)
def test_source_file_in_a_package_is_found_without_running_the_package(here, model, file):
    (here / "box" / "a" / "b").mkdir(parents=True)
    for name in ("__init__.py", "nets.py", "a/b/c.py"):
        (here / "box" / name).write_text(RAISING)

    assert source_file(model) == here / file
    assert not {"box", "box.nets"} & sys.modules.keys()


def test_source_file_of_an_installed_package_is_its_file(here):
    assert source_file("torch.nn:Identity") == Path(sys.modules["torch"].__file__).parent / "nn" / "__init__.py"


@pytest.mark.parametrize(
    "model", ["there_is_none:make", "box.none:make", "sys:exit", "../x:y", "a..b:c", ":make", "a\x00b:c", "x" * 5000]
)
def test_source_file_that_is_nowhere_is_none(here, model):
    (here / "box").mkdir()

    assert source_file(model) is None


def test_is_own_is_what_names_a_function():
    assert [is_own(model) for model in ("nets:make", "slimmable_cnn")] == [True, False]
