"""Where a study's database is: the study's own file, or another database that the user named."""

from __future__ import annotations

import json
import re
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
        raise StudyIncompatible(
            f"the study in {folder} is stored at {shown_storage(known)}: start it without --storage "
            f"{shown_storage(storage_url)}"
        )
    url_text = storage_url if storage_url is not None else known
    if url_text is None:
        return folder / DATABASE_NAME
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(url_text)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        # Not the whole text: what does not parse may hold a password all the same.
        raise UsageError(
            "--storage is no URL of a database: expected e.g. sqlite:////data/s.db, got something that begins with "
            f"{url_text.partition(':')[0]!r}"
        ) from error
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)) if is_file else url_text


def remember_place(folder: Path, storage_url: str | None) -> None:
    """Note where the study is stored, so that it is found again. A URL that may hold a secret is not written down."""
    if storage_url is None:
        return
    import sqlalchemy

    url = sqlalchemy.make_url(storage_url)
    if url.password is None and not url.query:
        write_json(folder / PLACE_NAME, {"url": storage_url})


def shown(place: Place) -> str:
    """A place for people to read: a file, or a URL without its secrets."""
    return shown_storage(place) if isinstance(place, str) else str(place)


def shown_storage(url_text: str) -> str:
    """The URL of a database as it may be shown: without its password, and without what stands behind a `?`.

    Looks at the text alone, so that a URL that does not parse is as safe.
    """
    head, at, tail = url_text.rpartition("@")
    who = re.match(r"[^:/?@]*://[^:/?@]*", head)
    user = who.group() if who else ""
    if "?" in head:  # the @ may be of a value, and what follows it a part of that
        return f"{user}:***"
    place, question, _ = tail.partition("?")
    return f"{user}{'' if user == head else ':***'}{at}{place}{question and '?***'}"


def without_secrets(text: str, url_text: str) -> str:
    """What a database's driver said, without the password and the other values of the URL that it was given."""
    import sqlalchemy

    url = sqlalchemy.make_url(url_text)
    secrets = [url.password, *(value for values in url.normalized_query.values() for value in values)]
    for secret in filter(None, secrets):
        text = text.replace(str(secret), "***")
    return text


def _known_url(folder: Path) -> str | None:
    path = folder / PLACE_NAME
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["url"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StudyDamaged(f"{path} does not read ({error}): give the database's URL with --storage") from error
