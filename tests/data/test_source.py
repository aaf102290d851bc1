from __future__ import annotations

from pathlib import Path

import pytest

from explorer.data.source import DATASETS, data_root, plugin
from explorer.errors import UsageError


def test_data_root_given_wins_over_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_DATA", "/elsewhere")
    assert data_root(tmp_path) == tmp_path
    assert data_root(None) == Path("/elsewhere")


def test_data_root_without_any_word_is_data_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPLORER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert data_root(None) == tmp_path / "data"


@pytest.mark.parametrize("name", DATASETS)
def test_plugin_every_registered_name_locates_and_reads(name: str) -> None:
    module = plugin(name)
    assert callable(module.locate)
    assert callable(module.read)


def test_plugin_unknown_name_lists_the_registered_ones() -> None:
    with pytest.raises(UsageError, match="one of cifar10, image_folder, digits, cluttered_digits, not 'mnist'"):
        plugin("mnist")
