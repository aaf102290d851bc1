"""Where a study's database is: the study's own file, or another database that the user named."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.errors import StudyDamaged, StudyIncompatible, UsageError
from explorer.files import write_json
from explorer.study.locate import DATABASE_NAME

PLACE_NAME = "storage.json"

Place = Path | str
"""A SQLite file, or a URL of SQLAlchemy."""


def study_place(folder: Path, storage_url: str | None) -> Place:
    """The place of the study in `folder`, whose database is at `storage_url` (None: where it was, or its own file).

    Raises UsageError for what is no URL, StudyIncompatible when the study was started at another place.
    """
    known = _known_url(folder)
    if storage_url is not None and known is not None and storage_url != known:
        raise StudyIncompatible(f"the study in {folder} is stored at {known}: start it without --storage {storage_url}")
    url_text = storage_url if storage_url is not None else known
    if url_text is None:
        return folder / DATABASE_NAME
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(url_text)
        url.get_dialect()
    except sqlalchemy.exc.ArgumentError as error:
        raise UsageError(
            f"--storage {url_text!r} is no URL of a database: expected e.g. sqlite:////data/s.db"
        ) from error
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)) if is_file else url_text


def remember_place(folder: Path, storage_url: str | None) -> None:
    """Note where the study is stored, so that it is found again. A URL with a password is not written down."""
    if storage_url is None:
        return
    import sqlalchemy

    if sqlalchemy.make_url(storage_url).password is None:
        write_json(folder / PLACE_NAME, {"url": storage_url})


def _known_url(folder: Path) -> str | None:
    path = folder / PLACE_NAME
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["url"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StudyDamaged(f"{path} does not read ({error}): give the database's URL with --storage") from error
