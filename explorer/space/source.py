"""Source: the text of a search space, and errors that point into it."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

from explorer.errors import SpaceError
from explorer.space.refusal import nearest

MAX_BYTES = 128 * 1024
"""A search space takes a few KiB; at this size the slowest text is still checked in less than a second."""

_MAX_LISTED_FILES = 1000
_SHOWN_WIDTH = 100
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # the line breaks that ruamel.yaml counts
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2.2, §5.1


@dataclass(frozen=True)
class Source:
    """A text and its name in error messages. Lines and columns count characters, from 1."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines without their line breaks."""
        return _LINE_BREAK.split(self.text)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of the character at `offset`."""
        before = _LINE_BREAK.split(self.text[:offset])
        return len(before), len(before[-1]) + 1

    def error(self, line: int, column: int, sentence: str, hint: str | None = None) -> SpaceError:
        """Return an error with the sentence, its line, a caret under the column, and the nearest valid name."""
        parts = [f"{self.name}:{line}:{column}: {sentence}"]
        shown = self.lines[line - 1] if line <= len(self.lines) else ""
        if shown.strip():
            start = max(0, column - 1 - _SHOWN_WIDTH // 2) if len(shown) > _SHOWN_WIDTH else 0
            window = shown[start : start + _SHOWN_WIDTH].replace("\t", " ")
            parts.append("  " + _UNPRINTABLE.sub("\ufffd", window))
            parts.append("  " + " " * (column - 1 - start) + "^")
        if hint is not None:
            parts.append(f"did you mean '{hint}'?")
        return SpaceError("\n".join(parts))


def read_source(path: Path) -> Source:
    """Return the text of a file. Raises SpaceError if it is missing, unreadable, large, or not printable UTF-8."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SpaceError(f"{path}: expected a search space, got a folder; name the YAML file in it")
        if not stat.S_ISREG(status.st_mode):
            raise SpaceError(f"{path}: expected a search space, got something that is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise SpaceError(f"{path}: the search space cannot be read: {error.strerror}") from error
    except ValueError:  # a NUL in the path
        raise SpaceError(f"{str(path)!r}: expected a search space, got a name that no file can have") from None
    if len(content) > MAX_BYTES:
        size = max(status.st_size, len(content)) / 1024
        raise SpaceError(f"{path}: a search space has at most {MAX_BYTES // 1024} KiB, this file has {size:.0f} KiB")
    return _decoded(str(path), content)


def checked_text(name: str, text: str) -> Source:
    """Return a source. Raises SpaceError for a character that YAML forbids."""
    source = Source(name, text)
    if found := _UNPRINTABLE.search(text):
        raise source.error(
            *source.position(found.start()), f"the character U+{ord(found[0]):04X} cannot stand in YAML; remove it"
        )
    return source


def _decoded(name: str, content: bytes) -> Source:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        source = Source(name, content.decode("utf-8", errors="replace"))
        before = len(content[: error.start].decode("utf-8"))
        raise source.error(
            *source.position(before), f"the byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    return checked_text(name, text.removeprefix("\ufeff"))


def _missing(path: Path) -> SpaceError:
    """Return the error for a missing file, with the most similar name in the folder or in `search_spaces` below it."""
    folder = path.parent
    candidates = chain(folder.glob("*.y*ml"), (folder / "search_spaces").glob("*.y*ml"))
    by_name: dict[str, Path] = {}
    for found in islice(candidates, _MAX_LISTED_FILES):
        by_name.setdefault(found.name.lower(), found)
        by_name.setdefault(found.stem.lower(), found)
    hint = nearest(path.name, by_name) or nearest(path.stem, by_name)
    sentence = f"{path}: there is no such file; 'explore init NAME' writes a search space to start from"
    return SpaceError(sentence if hint is None else f"{sentence}\ndid you mean '{by_name[hint]}'?")
