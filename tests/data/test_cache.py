from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from explorer.data.cache import Content, cached_entry, data_cache
from explorer.errors import ExplorerError
from explorer.records import Progress
from explorer.system.hashing import cache_root


class Maker:
    """Makes one array, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.n_calls = 0

    def __call__(self) -> Content:
        self.n_calls += 1
        return {"numbers": np.arange(1000)}, {"answer": 42}


def quiet(_: Progress) -> None:
    pass


def test_cache_root_follows_the_environment_else_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("EXPLORER_CACHE")
    assert cache_root().name == "pareto-explorer"


def test_kept_second_use_reads_what_the_first_made() -> None:
    maker = Maker()
    first, second = cached_entry("entry", maker, quiet), cached_entry("entry", maker, quiet)
    assert maker.n_calls == 1
    assert first.facts == second.facts == {"answer": 42}
    assert np.array_equal(second.arrays()["numbers"], np.arange(1000))
    assert isinstance(second.arrays()["numbers"], np.memmap)
    assert not second.arrays()["numbers"].flags.writeable


def truncate(folder: Path) -> None:
    os.truncate(folder / "numbers.npy", 500)


def flip_byte(folder: Path) -> None:
    content = bytearray((folder / "numbers.npy").read_bytes())
    content[-3] ^= 1
    (folder / "numbers.npy").write_bytes(content)


def remove_array(folder: Path) -> None:
    (folder / "numbers.npy").unlink()


def change_facts(folder: Path) -> None:
    (folder / "facts.json").write_text('{"answer": 43}')


def break_checksums(folder: Path) -> None:
    (folder / "sha256.json").write_text("[")


def empty_checksums(folder: Path) -> None:
    (folder / "sha256.json").write_text("[]")


@pytest.mark.parametrize("damage", [truncate, flip_byte, remove_array, change_facts, break_checksums, empty_checksums])
def test_kept_damaged_entry_is_made_again(damage: Callable[[Path], None]) -> None:
    maker = Maker()
    damage(cached_entry("entry", maker, quiet).folder)
    again = cached_entry("entry", maker, quiet)
    assert maker.n_calls == 2
    assert again.facts == {"answer": 42}
    assert np.array_equal(again.arrays()["numbers"], np.arange(1000))


def test_kept_failing_maker_leaves_nothing_but_the_lock() -> None:
    def fail() -> Content:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_entry("entry", fail, quiet)
    assert [path.name for path in data_cache().iterdir()] == ["entry.lock"]


def test_kept_draft_of_a_killed_process_is_removed() -> None:
    draft = data_cache() / ".entry.abc.tmp"
    draft.mkdir(parents=True)
    (draft / "numbers.npy").write_bytes(b"half")
    cached_entry("entry", Maker(), quiet)
    assert not draft.exists()


def test_kept_entry_that_another_process_makes_meanwhile_is_awaited_and_used() -> None:
    data_cache().mkdir(parents=True)
    other = FileLock(data_cache() / "entry.lock", is_singleton=False)
    other.acquire()
    seen: list[str] = []

    def finish_other(progress: Progress) -> None:
        seen.append(progress.stage)
        other.release()

    maker = Maker()
    assert cached_entry("entry", maker, finish_other).facts == {"answer": 42}
    assert seen == ["wait for another process that prepares the same data"]


def test_cached_entry_error_names_the_folder_and_how_to_move_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "file"))
    with pytest.raises(ExplorerError, match=r"file/data.* cannot be written .*EXPLORER_CACHE"):
        cached_entry("entry", Maker(), quiet)
