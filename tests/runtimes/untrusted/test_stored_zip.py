"""Archives that two readers could read differently: none of them passes."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_archives import archive

from explorer.runtimes.untrusted.files import UnsafeFile
from explorer.runtimes.untrusted.stored_zip import stored_members

ONE = [("a/one", b"1"), ("a/b/two", b"22")]


def test_stored_members_of_torchs_own_archive_are_those_of_zipfile(programs):
    content = programs["none"]
    with zipfile.ZipFile(io.BytesIO(content)) as reader:
        expected = {name.partition("/")[2]: reader.read(name) for name in reader.namelist()}
    assert {name: bytes(part) for name, part in stored_members(content).items()} == expected


@settings(max_examples=50)
@given(st.dictionaries(st.from_regex(r"\A[a-z0-9_]{1,9}\Z"), st.binary(max_size=99), min_size=1, max_size=9))
def test_stored_members_any_names_and_contents_come_back(members):
    made = archive([(f"root/{name}", content) for name, content in members.items()])
    assert {name: bytes(part) for name, part in stored_members(made).items()} == members


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is not an archive"),
        (b"x" * 500, "not an archive as torch writes it"),
        (b"before it" + archive(ONE), "not an archive as torch writes it"),
        (archive(ONE) + b"behind it", "not an archive as torch writes it"),
        (archive(ONE, comment=b"a comment"), "not an archive as torch writes it"),
        (archive(ONE)[:-10], "not an archive as torch writes it"),
        (archive(ONE, n=1), "more in its directory than it counts"),
        (archive(ONE, n=3), "directory is cut off"),
        (archive(ONE, method=8), "'a/one' is not plainly stored"),
        (archive(ONE, flags=1), "'a/one' is not plainly stored"),
        (archive(ONE, extra=b"up\0\0"), "'a/one' is not plainly stored"),
        (archive(ONE, local_name=b"a/other"), "called or packed otherwise"),
        (archive([("a/one", b"1"), ("a/one", b"2")]), "besides a member of the same name"),
        (archive([("a/one", b"1"), ("a/ONE", b"2")]), "besides a member of the same name"),
        (archive([("a/one", b"1"), ("b/two", b"2")]), "of another folder"),
        (archive([("one", b"1")]), "a member called 'one'"),
        (archive([("a/../one", b"1")]), "a member called"),
        (archive([("/a/one", b"1")]), "a member called"),
        (archive([("a/./one", b"1")]), "a member called"),
        (archive([("a\\one", b"1")]), "a member called"),
        (archive([("a/o\0ne", b"1")]), "a member called"),
        (archive([("a/öne", b"1")]), "a member called"),
    ],
)
def test_stored_members_unusual_archive_is_refused(content, match):
    with pytest.raises(UnsafeFile, match=match):
        stored_members(content)


def test_stored_members_overlapping_are_refused():
    made = bytearray(archive(ONE))
    second = made.rindex(b"PK\1\2")
    made[second + 42 : second + 46] = struct.pack("<I", 0)  # where the first member lies
    with pytest.raises(UnsafeFile, match=r"called or packed otherwise|does not lie behind"):
        stored_members(bytes(made))


@settings(max_examples=300)
@given(st.data())
def test_stored_members_changed_archive_is_refused_or_read_within_its_bytes(data):
    made = bytearray(archive(ONE))
    for _ in range(data.draw(st.integers(1, 4))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    try:
        members = stored_members(bytes(made))
    except UnsafeFile:
        return
    assert sum(len(part) for part in members.values()) <= len(made)
    assert len(members) <= len(ONE)
