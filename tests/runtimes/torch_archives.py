"""Zip archives as torch writes them, byte for byte by hand, so that each byte can be something else."""

from __future__ import annotations

import struct
from collections.abc import Sequence

LOCAL, ENTRY, LARGE_END, LARGE_PLACE, END = (
    struct.Struct(layout) for layout in ("<4s5H3I2H", "<4s6H3I5H2I", "<4sQ2H2I4Q", "<4sIQI", "<4s4H2IH")
)


def archive(
    members: Sequence[tuple[str, bytes]],
    method: int = 0,
    flags: int = 0x808,
    extra: bytes = b"",
    local_name: bytes | None = None,
    comment: bytes = b"",
    n: int | None = None,
) -> bytes:
    """An archive as torch writes it, unless an argument says otherwise. `members`: pairs of name and content."""
    body, directory = bytearray(), bytearray()
    for name, content in members:
        offset = len(body)
        raw = name.encode()
        called = raw if local_name is None else local_name
        body += LOCAL.pack(b"PK\3\4", 0, flags, method, 0, 0, 0, 0, 0, len(called), 2) + called + b"FB" + content
        size = len(content)
        numbers = (0, 0, flags, method, 0, 0, 0, size, size, len(raw), len(extra), 0, 0, 0, 0, offset)
        directory += ENTRY.pack(b"PK\1\2", *numbers) + raw + extra
    start, size, count = len(body), len(directory), len(members) if n is None else n
    at = start + size
    ends = LARGE_END.pack(b"PK\6\6", 44, 0, 0, 0, 0, count, count, size, start)
    ends += LARGE_PLACE.pack(b"PK\6\7", 0, at, 1)
    ends += END.pack(b"PK\5\6", 0, 0, count, count, size, start, len(comment)) + comment
    return bytes(body + directory + ends)
