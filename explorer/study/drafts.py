"""Drafts: what was half-written when a process was killed or asked to stop does not stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from explorer.cache import cache_root
from explorer.files import remove_drafts, remove_old_drafts, remove_old_scratch
from explorer.study.database import remove_cold_journal
from explorer.study.evaluation import Evaluator
from explorer.study.locate import DATABASE_NAME


@contextmanager
def no_drafts_left(folder: Path, evaluator: Evaluator) -> Iterator[None]:
    """Remove the drafts of a killed coordinator now, and those of this one when the block ends, however it does.

    To be used by who holds the study's lock. At the end the evaluator is closed: its builder may be at writing still.
    Drafts in the cache and among temporary files, where others write, are removed when they are old. Raises OSError
    when the folder cannot be written.
    """
    remove_drafts(folder)
    remove_cold_journal(folder / DATABASE_NAME)
    remove_old_drafts(cache_root())
    remove_old_scratch()
    try:
        yield
    finally:
        evaluator.close()
        with suppress(OSError):  # what stays is removed by the next start
            remove_drafts(folder)
