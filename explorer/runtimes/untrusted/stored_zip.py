"""Read zip archives as torch writes them: members stored consecutively, such that every reader reads the same.

Python's and torch's readers disagree on unusual archives (a comment, a prefix, two members of one name, capital
letters), so a check by one would not hold for the other. All of that is refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from explorer.runtimes.untrusted.files import UnsafeFile

_END = struct.Struct("<4s4H2IH")
# Torch writes the end twice: also with the large numbers of zip64, and where to find those.
_LARGE_END = struct.Struct("<4sQ2H2I4Q")
_LARGE_PLACE = struct.Struct("<4sIQI")
_ENDS = _LARGE_END.size + _LARGE_PLACE.size + _END.size
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
# Bit 3: sizes behind the data as well; bit 11: names in UTF-8. Anything else is encryption or patches.
_FLAGS = 0x808
_NAME = re.compile(r"(?!\.{1,2}(/|$))[\w.]+(/(?!\.{1,2}(/|$))[\w.]+)+", re.ASCII)


def stored_members(content: bytes | memoryview) -> dict[str, memoryview]:
    """Return the members by their name below the archive's one folder, as views of `content`. Raises UnsafeFile."""
    view = memoryview(content)
    members: dict[str, memoryview] = {}
    roots, seen, end_of_last = set(), set(), 0
    n, directory = _end(view)
    for name, offset, size in _entries(view, directory, n):
        start = _data_start(view, name, offset)
        if not end_of_last <= offset < start <= start + size <= directory:
            raise UnsafeFile(f"is an archive whose member {name!r} does not lie behind the one before it")
        end_of_last = start + size
        root, _, inner = name.partition("/")
        roots.add(root)
        if inner.lower() in seen or len(roots) > 1:
            raise UnsafeFile(f"is an archive with {name!r} besides a member of the same name, or of another folder")
        seen.add(inner.lower())
        members[inner] = view[start:end_of_last]
    return members


def _end(view: memoryview) -> tuple[int, int]:
    """Return the number of members and where the directory begins, which must end at the end records."""
    at = len(view) - _ENDS
    if at < 0:
        raise UnsafeFile("is not an archive")
    large = _LARGE_END.unpack_from(view, at)
    place = _LARGE_PLACE.unpack_from(view, at + _LARGE_END.size)
    mark, *numbers, n_comment = _END.unpack_from(view, at + _LARGE_END.size + _LARGE_PLACE.size)
    n, size, start = large[7:]
    is_plain = (large[0], large[1], *large[4:7]) == (b"PK\6\6", _LARGE_END.size - 12, 0, 0, n)
    is_found = place == (b"PK\6\7", 0, at, 1)
    is_repeated = (mark, *numbers, n_comment) == (b"PK\5\6", 0, 0, n, n, size, start, 0)
    if not (is_plain and is_found and is_repeated and start + size == at):
        raise UnsafeFile("is not an archive as torch writes it, or it was cut off")
    return n, start


def _entries(view: memoryview, at: int, n: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, offset and size of each member, in the directory's order."""
    end = len(view) - _ENDS
    for _ in range(n):
        if at + _ENTRY.size > end:
            raise UnsafeFile("is an archive whose directory is cut off")
        mark, _, _, flags, method, _, _, _, packed, size, n_name, n_extra, n_comment, disk, _, _, offset = (
            _ENTRY.unpack_from(view, at)
        )
        raw = bytes(view[at + _ENTRY.size : at + _ENTRY.size + n_name])
        name = raw.decode("ascii", "replace")
        if mark != b"PK\1\2" or flags & ~_FLAGS or method != 0 or packed != size or n_extra or n_comment or disk:
            raise UnsafeFile(f"is an archive whose member {name!r} is not plainly stored")
        if not _NAME.fullmatch(name):
            raise UnsafeFile(f"is an archive with a member called {name!r}")
        yield name, offset, size
        at += _ENTRY.size + n_name
    if at != end:
        raise UnsafeFile("is an archive with more in its directory than it counts")


def _data_start(view: memoryview, name: str, offset: int) -> int:
    if offset + _LOCAL.size > len(view):
        raise UnsafeFile(f"is an archive whose member {name!r} lies behind its end")
    mark, _, flags, method, _, _, _, _, _, n_name, n_extra = _LOCAL.unpack_from(view, offset)
    at = offset + _LOCAL.size
    if mark != b"PK\3\4" or flags & ~_FLAGS or method != 0 or bytes(view[at : at + n_name]) != name.encode():
        raise UnsafeFile(f"is an archive whose member {name!r} is called or packed otherwise where it lies")
    return int(at + n_name + n_extra)
