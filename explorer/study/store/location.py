"""Locate a study: its folder, by name or path, and its database, in the folder or at a URL."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from explorer.errors import StudyDamaged, StudyIncompatible, UsageError
from explorer.system.files import write_json

STORAGE_NAME = "storage.json"

HIDDEN = "***"
"""Stands in displayed URLs for what may be secret."""

StorageLocation = Path | str
"""A SQLite file, or a URL of SQLAlchemy."""


@dataclass(frozen=True, slots=True)
class StudyLocation:
    """A study's folder, and the URL of its database; None: the URL that the folder names, or its own file."""

    folder: Path
    storage_url: str | None = None


def storage_location(folder: Path, storage_url: str | None) -> StorageLocation:
    """Return where the study in `folder` is stored: at `storage_url`; if None, where it was, or in its own file.

    Raises UsageError for an invalid URL, or one whose secrets are hidden; StudyIncompatible when the study was started
    at another location.
    """
    if storage_url is not None and HIDDEN in storage_url and storage_url == url_without_secrets(storage_url):
        raise UsageError(
            f"--storage: expected the URL of a database, got one with {HIDDEN} in the place of a password or of what "
            "follows the '?': give it as it was before"
        )
    known = _known_url(folder)
    if storage_url is not None and known is not None and storage_url != known:
        raise StudyIncompatible(
            f"the study in {folder} is stored at {url_without_secrets(known)}: start it without --storage "
            f"{url_without_secrets(storage_url)}"
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


def remember_storage(folder: Path, storage_url: str | None) -> None:
    """Record where the study is stored. A URL that may contain a secret is not written."""
    if storage_url is None:
        return
    import sqlalchemy

    url = sqlalchemy.make_url(storage_url)
    if url.password is None and not url.query:
        write_json(folder / STORAGE_NAME, {"url": storage_url})


def text_of(location: StorageLocation) -> str:
    """Return a location for display: a file, or a URL without its secrets."""
    return url_without_secrets(location) if isinstance(location, str) else str(location)


def url_without_secrets(url_text: str) -> str:
    """Return a database URL for display, without its password and everything after a `?`.

    The text is not parsed, so this is safe for invalid URLs too.
    """
    head, at, tail = url_text.rpartition("@")
    who = re.match(r"[^:/?@]*://[^:/?@]*", head)
    user = who.group() if who else ""
    if "?" in head:  # the @ may be of a value, and what follows it a part of that
        return f"{user}:{HIDDEN}"
    host, question, _ = tail.partition("?")
    return f"{user}{'' if user == head else f':{HIDDEN}'}{at}{host}{question and f'?{HIDDEN}'}"


def without_secrets(text: str, url_text: str) -> str:
    """Return a driver's message without the password and query values of the URL."""
    import sqlalchemy

    url = sqlalchemy.make_url(url_text)
    secrets = [url.password, *(value for values in url.normalized_query.values() for value in values)]
    for secret in filter(None, secrets):
        text = text.replace(str(secret), HIDDEN)
    return text


def _known_url(folder: Path) -> str | None:
    path = folder / STORAGE_NAME
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["url"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StudyDamaged(f"{path} does not read ({error}): give the database's URL with --storage") from error


DATABASE_NAME = "study.db"
LIVE_STATUS_NAME = "now.json"
"""The coordinator's live status (study/store/live_status.py): a study that is being prepared has nothing else."""


def studies_folder(studies: Path | None) -> Path:
    """Return the folder of all studies: the given one, else EXPLORER_STUDIES, else `studies/` here."""
    return studies if studies is not None else Path(os.environ.get("EXPLORER_STUDIES") or "studies")


def study_folder(study: str, studies: Path | None = None) -> Path:
    """Return the folder of the study that `study` names: a name in the studies folder, else a path.

    Raises UsageError with similar names when there is no such study.
    """
    root = studies_folder(studies)
    is_name = bool(study) and study not in (".", "..") and "/" not in study and "\x00" not in study
    if is_name and is_study(root / study):
        return root / study
    path = Path(study)
    if "\x00" not in study and is_study(path):
        return path
    names = sorted(entry.name for entry in root.iterdir() if is_study(entry)) if root.is_dir() else []
    near = get_close_matches(study, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else _known(names)
    raise UsageError(f"no study {study!r} in {root} and no study's folder of that path: {hint}")


def is_study(folder: Path) -> bool:
    """Return whether the folder holds a study, whole or damaged, or one that is being prepared."""
    try:
        return any((folder / name).exists() for name in (DATABASE_NAME, "space.yaml", LIVE_STATUS_NAME))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def _known(names: list[str]) -> str:
    if not names:
        return "there are no studies yet; `explore start SPACE.yaml` makes one"
    shown = ", ".join(names[:8])
    return f"there are {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
