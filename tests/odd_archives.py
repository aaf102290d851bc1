"""Archives of arrays that look whole and cannot be read."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np


def encrypted(archive: bytes) -> bytes:
    """Every member says that it is encrypted."""
    return _with(archive, field=0, value=1)


def compressed_in_an_unknown_way(archive: bytes) -> bytes:
    """Every member says that it is compressed by a method that nobody knows."""
    return _with(archive, field=2, value=77)


def described_as(header: str, *names: str) -> bytes:
    """An archive of arrays with these names, each of which describes itself by `header`."""
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin-1") + bytes(64)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", array)
    return buffer.getvalue()


ODD_HEADERS = ("{", "{[]: 1}", "{'descr': (), 'fortran_order': False, 'shape': (2,)}",
               f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({10**30},)}}")  # fmt: skip


def odd_archives(*names: str) -> list[bytes]:
    """One of each kind, with members of these names."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.zeros(3, np.int64) for name in names})
    whole = buffer.getvalue()
    described = [described_as(header, *names) for header in ODD_HEADERS]
    return [encrypted(whole), compressed_in_an_unknown_way(whole), *described]


def _with(archive: bytes, field: int, value: int) -> bytes:
    """Sets 16 bits of each member's headers (PKZIP's APPNOTE, 4.3.7 and 4.3.12): flags at 0, the method at 2."""
    changed = bytearray(archive)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = changed.find(mark)
        while place >= 0:
            changed[place + flags + field : place + flags + field + 2] = value.to_bytes(2, "little")
            place = changed.find(mark, place + 4)
    return bytes(changed)
