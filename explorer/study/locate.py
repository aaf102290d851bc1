"""Where a study is: a name under the studies folder, or a path."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from explorer.errors import UsageError

DATABASE_NAME = "study.db"
NOW_NAME = "now.json"
"""What a coordinator is at (explorer.study.now): all that there is of a study that is still being prepared."""


def studies_folder(studies: Path | None) -> Path:
    """The folder of all studies: the one given, else EXPLORER_STUDIES, else `studies/` in the current directory."""
    return studies if studies is not None else Path(os.environ.get("EXPLORER_STUDIES") or "studies")


def study_folder(study: str, studies: Path | None = None) -> Path:
    """The folder of the study that `study` names: a name under the studies folder, else a path.

    Raises UsageError with the nearest names when there is no such study.
    """
    root = studies_folder(studies)
    if _is_name(study) and is_study(root / study):
        return root / study
    path = Path(study)
    if "\x00" not in study and is_study(path):
        return path
    names = sorted(entry.name for entry in root.iterdir() if is_study(entry)) if root.is_dir() else []
    near = get_close_matches(study, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else _known(names)
    raise UsageError(f"no study {study!r} in {root} and no study's folder of that path: {hint}")


def is_study(folder: Path) -> bool:
    """Whether the folder holds a study, whole or damaged, or one that is being prepared."""
    return any(os.path.exists(folder / name) for name in (DATABASE_NAME, "space.yaml", NOW_NAME))


def _is_name(study: str) -> bool:
    return bool(study) and study not in (".", "..") and "/" not in study and "\x00" not in study


def _known(names: list[str]) -> str:
    if not names:
        return "there are no studies yet; `explore start SPACE.yaml` makes one"
    shown = ", ".join(names[:8])
    return f"there are {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
