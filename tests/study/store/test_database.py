from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from endless_pages import endless_database
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from explorer.errors import NotAvailable, StudyDamaged, StudyError
from explorer.study.store.database import check, connect, connect_to_copy, damaged, has_safe_wal, translated


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((4, 0, 0), True),
    ],
)
def test_has_safe_wal_only_versions_with_the_fix(version, expected):
    assert has_safe_wal(version) is expected


def test_connect_flushes_every_commit(tmp_path):
    with closing(connect(tmp_path / "a.db")) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (60_000,)
        expected = "wal" if has_safe_wal(sqlite3.sqlite_version_info) else "delete"
        assert connection.execute("PRAGMA journal_mode").fetchone() == (expected,)


def test_connect_to_copy_missing_file_is_not_made(tmp_path):
    with pytest.raises(StudyError, match=r"cannot be used: \S*a\.db: No such file or directory"):
        connect_to_copy(tmp_path / "a.db")
    assert not (tmp_path / "a.db").exists()


def test_connect_to_copy_pages_without_end_are_damage(tmp_path):
    (tmp_path / "a.db").write_bytes(endless_database())
    with pytest.raises(StudyDamaged, match="reading it takes more than any study of its size needs"):
        check(tmp_path / "a.db")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM t AS a, t AS b, t AS c WHERE a.x < b.x",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT zeroblob(1000000)",
    ],
)
def test_connect_to_copy_query_beyond_the_size_of_the_file_ends(tmp_path, query):
    path = tmp_path / "a.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(2000)])
        connection.commit()
    said = "reading it takes more than any study"
    with closing(connect_to_copy(path)) as connection, pytest.raises(StudyDamaged, match=said), translated(path):
        connection.execute(query).fetchall()


def test_check_sound_file_passes_and_others_are_damaged(tmp_path):
    path = tmp_path / "a.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(str(i) * 50,) for i in range(1000)])
        connection.commit()
    check(path)
    whole = path.read_bytes()
    for spoilt in (b"not a database" * 100, whole[: len(whole) // 2], whole[:4096] + b"\xff" * 1024 + whole[5120:]):
        path.write_bytes(spoilt)
        with pytest.raises(StudyDamaged, match=r"damaged.*--fork NAME"):
            check(path)


def test_check_leaves_the_locks_of_this_process(tmp_path):
    path = tmp_path / "a.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
        connection.execute("BEGIN IMMEDIATE")
        check(path)
        other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        asked = subprocess.run([sys.executable, "-c", other, path], capture_output=True, text=True, check=False)
    assert "database is locked" in asked.stderr


def test_translated_locked_database_is_a_sentence(tmp_path):
    path = tmp_path / "a.db"
    with closing(connect(path)) as holder, closing(connect(path, timeout_s=0.01)) as other:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StudyError, match="another program has locked"), translated(path):
            other.execute("CREATE TABLE t (x)")


def test_translated_full_disk_is_an_os_error(tmp_path):
    path = tmp_path / "a.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA max_page_count=2")
        with pytest.raises(OSError, match="No space left"), translated(path):
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")


def test_translated_other_errors_pass():
    with pytest.raises(ZeroDivisionError, match="division"), translated("x"):
        _ = 1 / 0


def test_damaged_database_of_a_url_shows_no_password():
    error = damaged("postgresql://me:secret@host/db", "why")
    assert str(error).startswith("the study's database is damaged: postgresql://me:***@host/db: why. ")


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (ModuleNotFoundError("No module named 'driver' for secret"), NotAvailable, r"needs a driver .*for \*\*\*\)"),
        (
            OperationalError("SELECT 1", {}, RuntimeError("no entry for me with secret\nmore")),
            StudyError,
            r"cannot be used: no entry for me with \*\*\*\. ",
        ),
        (
            StorageInternalError("An exception is raised during the commit: secret"),
            StudyError,
            r"cannot be used: An exception is raised during the commit: \*\*\*\. ",
        ),
    ],
)
def test_translated_database_of_a_url_that_cannot_be_reached_is_one_sentence_without_its_password(raised, kind, said):
    url = "postgresql://me:secret@host/db"
    with pytest.raises(kind, match=rf"the database postgresql://me:\*\*\*@host/db {said}") as caught, translated(url):
        raise raised
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_translated_own_fault_beside_a_database_of_a_url_stays_itself():
    with pytest.raises(ZeroDivisionError, match="ours"), translated("postgresql://me:secret@host/db"):
        raise ZeroDivisionError("ours")


def test_translated_another_databases_error_is_a_sentence_without_the_password():
    url = "postgresql://me:hush@host/db"
    refused = OperationalError("SELECT 1", {}, ConnectionRefusedError("connection to host failed\nmore"))
    with (
        pytest.raises(StudyError, match=r"me:\*\*\*@host/db cannot be used: connection to host failed\. ") as said,
        translated(url),
    ):
        raise StorageInternalError("wrapped") from refused
    assert "hush" not in str(said.value)


def test_translated_file_that_cannot_be_opened_says_the_systems_reason(tmp_path):
    path = tmp_path / "missing" / "a.db"
    with pytest.raises(StudyError, match="unable to open database file: No such file or directory"), translated(path):
        connect(path)
