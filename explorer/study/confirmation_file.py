"""The file of a study's confirmation, beside its database.

`confirmation.json` is always whole. While a confirmation is made it grows, round by round, in another file, which
takes the place of the first at its end: a killed one goes on where it was, and until a new one is whole the old stays.
"""

from __future__ import annotations

import os
from pathlib import Path

from explorer.errors import StudyDamaged
from explorer.files import flush_to_disk, write_json
from explorer.plain_file import read_plain_text
from explorer.study.confirmation import Confirmation
from explorer.study.sound import json_value

NAME = "confirmation.json"
GROWING_NAME = "confirmation.next.json"


def read_confirmation(folder: Path) -> Confirmation | None:
    """The whole confirmation of the study in `folder`; None when there is none. Raises StudyDamaged."""
    return _read(folder / NAME, "delete it, and `explore confirm` measures the finalists again")


def read_growing(folder: Path) -> Confirmation | None:
    """The confirmation that was begun and not ended; None when there is none. Raises StudyDamaged."""
    return _read(folder / GROWING_NAME, "delete it, and the confirmation that was interrupted begins anew")


def write_growing(folder: Path, confirmation: Confirmation) -> None:
    """Keep what was measured so far. Raises OSError."""
    write_json(folder / GROWING_NAME, confirmation.to_json())


def complete(folder: Path) -> None:
    """Let what was kept last take the place of the study's confirmation. Raises OSError."""
    os.replace(folder / GROWING_NAME, folder / NAME)
    flush_to_disk(folder)


def remove_confirmations(folder: Path) -> None:
    """Forget both, of a study that begins anew."""
    for name in (NAME, GROWING_NAME):
        (folder / name).unlink(missing_ok=True)


def _read(path: Path, way_out: str) -> Confirmation | None:
    try:
        text = read_plain_text(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        what = "text" if isinstance(error, UnicodeDecodeError) else "a regular file"
        raise StudyDamaged(f"{path} is not {what}: {way_out}") from error
    try:
        return Confirmation.from_json(json_value(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StudyDamaged(f"{path} is not a whole confirmation ({reason}): {way_out}") from error
