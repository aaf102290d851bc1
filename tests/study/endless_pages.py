"""A database of a few KiB whose pages make SQLite go on for ever: no page leads back, and each one many times on."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_PAGE = 512
_LEAF, _INNER, _INDEX_LEAF = 13, 5, 10
_TABLE, _INDEX, _FIRST, _LAST = 2, 3, 4, 5  # numbers of pages, from 1
_N_LEVELS, _N_CHILDREN = 8, 55


def endless_database() -> bytes:
    """A file whose schema has 55^8 times the same rows, none of them wrong: those of an index that SQLite makes."""
    auto = ("index", "sqlite_autoindex_x_1", "x", _INDEX, None)
    pages = {
        _TABLE: _page(_LEAF, []),
        _INDEX: _page(_INDEX_LEAF, []),
        _FIRST: _page(_LEAF, [_row(1, ("table", "x", "x", _TABLE, "CREATE TABLE x (a UNIQUE)")), _row(2, auto)]),
        _LAST: _page(_LEAF, [_row(number, auto) for number in range(3, 9)]),
    }
    for number in range(_LAST + 1, _LAST + 1 + _N_LEVELS):
        pages[number] = _inner([number - 1] * _N_CHILDREN)
    root = _inner([_FIRST, *[len(pages) + 1] * 20], _header(len(pages) + 1))
    return root + b"".join(pages[number] for number in sorted(pages))


def _header(n_pages: int) -> bytes:
    facts = (1, n_pages, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0)
    start = b"SQLite format 3\0" + struct.pack(">H6B12I", _PAGE, 1, 1, 0, 64, 32, 32, *facts)
    return start + bytes(20) + struct.pack(">2I", 1, 3_040_001)


def _inner(children: Sequence[int], header: bytes = b"") -> bytes:
    cells = [struct.pack(">IB", child, number) for number, child in enumerate(children[:-1], 1)]
    return _page(_INNER, cells, struct.pack(">I", children[-1]), header)


def _page(kind: int, cells: Sequence[bytes], right: bytes = b"", header: bytes = b"") -> bytes:
    ends = [_PAGE - sum(map(len, cells[: index + 1])) for index in range(len(cells))]
    places = struct.pack(f">{len(cells)}H", *ends)
    head = header + struct.pack(">BHHHB", kind, 0, len(cells), ends[-1] if ends else _PAGE, 0) + right + places
    content = b"".join(reversed(cells))
    return head + bytes(_PAGE - len(head) - len(content)) + content


def _row(number: int, values: Sequence[str | int | None]) -> bytes:
    """A cell of the schema: its values have fewer than 58 bytes each."""
    kinds = bytes(0 if one is None else 4 if isinstance(one, int) else 13 + 2 * len(one) for one in values)
    texts = (struct.pack(">i", one) if isinstance(one, int) else one.encode() for one in values if one is not None)
    content = bytes([len(kinds) + 1]) + kinds + b"".join(texts)
    return bytes([len(content), number]) + content
