from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing

import pytest

from explorer.study.store import sqlite_lock
from explorer.study.store.sqlite_lock import close, is_reserved, reserved_lock, shared_lock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere locks belong to the process, this one")


@pytest.fixture
def writer(tmp_path):
    with closing(sqlite3.connect(tmp_path / "study.db", timeout=0, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (x)")
        yield connection


@pytest.fixture
def descriptor(writer, tmp_path):
    descriptor = os.open(tmp_path / "study.db", os.O_RDWR)
    yield descriptor
    close(descriptor)


def test_shared_lock_keeps_sqlite_from_changing_the_file(writer, descriptor):
    with shared_lock(descriptor, 0.0), pytest.raises(sqlite3.OperationalError, match="locked"):
        writer.execute("INSERT INTO t VALUES (1)")
    writer.execute("INSERT INTO t VALUES (1)")


def test_shared_lock_lets_others_read(writer, descriptor):
    with shared_lock(descriptor, 0.0):
        assert writer.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("kind", ["EXCLUSIVE", "IMMEDIATE"])
def test_shared_lock_waits_for_who_changes_the_file_alone(writer, descriptor, kind):
    writer.execute(f"BEGIN {kind}")
    if kind == "EXCLUSIVE":
        with pytest.raises(TimeoutError, match="another program has locked"), shared_lock(descriptor, 0.0):
            pass
        writer.execute("ROLLBACK")
    with shared_lock(descriptor, 0.0):
        assert is_reserved(descriptor) is (kind == "IMMEDIATE")


def test_shared_lock_lets_a_writer_that_waits_go_first(writer, descriptor):
    """It holds the pending byte until the readers that are there have ended."""
    reader = sqlite3.connect(writer.execute("PRAGMA database_list").fetchone()[2], isolation_level=None)
    with closing(reader):
        writer.execute("INSERT INTO t VALUES (1)")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchall()
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("COMMIT")
        with pytest.raises(TimeoutError), shared_lock(descriptor, 0.0):
            pass


def test_reserved_lock_keeps_others_from_writing_and_gives_way_to_them(writer, descriptor):
    with reserved_lock(descriptor) as is_held:
        assert is_held
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("BEGIN IMMEDIATE")
    writer.execute("BEGIN IMMEDIATE")
    with reserved_lock(descriptor) as is_held:
        assert not is_held


def test_close_waits_for_sqlite_of_this_process(tmp_path):
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
        one = os.open(tmp_path / "study.db", os.O_RDONLY)
        close(one)
        os.fstat(one)
    (tmp_path / "other").write_text("x")
    other = os.open(tmp_path / "other", os.O_RDONLY)
    close(other)
    for descriptor in (one, other):
        assert descriptor not in sqlite_lock._open_still
