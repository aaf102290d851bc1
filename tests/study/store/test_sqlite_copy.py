from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing

import pytest
from odd_databases import MAGIC, beside, facts, half_written, header, name_victim, naming, record

from explorer.study.store.sqlite_copy import (
    MAX_BYTES,
    private_copy,
    remove_cold,
    remove_files_beside,
    require_harmless_files,
    require_plain_schema,
)

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS study_id FROM n"


@pytest.fixture
def connection():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT DEFAULT 'none', UNIQUE (x))")
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE assets (url TEXT, n INTEGER DEFAULT 0, check_sum TEXT)",
        "CREATE INDEX a ON t (id, x)",
        'CREATE UNIQUE INDEX "b" ON t (x DESC)',
        "CREATE TABLE v (version_info_id INTEGER NOT NULL, CHECK (version_info_id=1))",
        "CREATE TABLE d (direction VARCHAR(8), CONSTRAINT known CHECK (direction IN ('MINIMIZE', 'MAXIMIZE')))",
        "CREATE TABLE f (id INTEGER, FOREIGN KEY(id) REFERENCES t (id) ON DELETE CASCADE)",
    ],
)
def test_schema_of_tables_and_indexes_passes(connection, statement):
    connection.execute(statement)
    assert require_plain_schema(connection) is None  # nothing is refused


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"CREATE VIEW studies AS {ENDLESS}", "the view 'studies'"),
        ("CREATE TRIGGER hook AFTER INSERT ON t BEGIN DELETE FROM t; END", "the trigger 'hook'"),
        ("CREATE VIRTUAL TABLE texts USING fts5(x)", "the virtual table 'texts'"),
        ("CREATE VIRTUAL TABLE boxes USING rtree(id, a, b)", "the virtual table 'boxes'"),
        ("CREATE TABLE g (x, y GENERATED ALWAYS AS (zeroblob(1000000000)) STORED)", "the table that computes 'g'"),
        ("CREATE TABLE g (x, y as (zeroblob(1000000000)))", "the table that computes 'g'"),
        ("CREATE TABLE c (x CHECK (length(randomblob(1000000000)) > x))", "the table that computes 'c'"),
        ("CREATE TABLE c (x, check (length(hex(zeroblob(x)))))", "the table that computes 'c'"),
        ("CREATE TABLE d (x DEFAULT (zeroblob(1000000000)))", "the table that computes 'd'"),
        ("CREATE TABLE d (x DEFAULT/**/(zeroblob(1000000000)))", "the table that computes 'd'"),
        ("CREATE INDEX e ON t (length(x))", "the index on an expression 'e'"),
        ("CREATE INDEX p ON t (x) WHERE x > 'a'", "the index on an expression 'p'"),
    ],
)
def test_schema_with_anything_that_computes_is_refused_by_name(connection, statement, said):
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        pytest.skip(f"SQLite without it: {error}")
    with pytest.raises(ValueError, match=f"^it holds {said}, which no study has$"):
        require_plain_schema(connection)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("table", f"CREATE VIEW studies AS {ENDLESS}"), ("index", f"CREATE VIEW studies AS {ENDLESS}"),
     ("table", f"CREATE/**/VIEW studies AS {ENDLESS}"), ("table", f"create temp view studies AS {ENDLESS}")],
)  # fmt: skip
def test_schema_that_calls_a_view_a_table_is_refused(connection, kind, text):
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("INSERT INTO sqlite_master VALUES (?, 'studies', 'studies', 0, ?)", (kind, text))
    with pytest.raises(ValueError, match=r"^it holds the .* 'studies', which no study has$"):
        require_plain_schema(connection)


def test_schema_of_a_long_text_is_looked_through_once(connection):
    connection.execute("CREATE INDEX i ON t (x)")
    connection.execute("PRAGMA writable_schema=ON")
    text = f"CREATE INDEX i ON t /*{' ON ' * 1_000_000}*/ (x) --"
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'i'", (text,))
    with pytest.raises(ValueError, match="it holds the index on an expression 'i'"):
        require_plain_schema(connection)


SUFFIXES = ("-journal", "-wal", "-shm")
TIB = 2**40


def values(path):
    """What a copy of the database holds."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(private_copy(path, 5.0))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT x FROM t ORDER BY id").fetchall()


def contents(folder):
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture
def database(tmp_path):
    """One row, 1; nothing lies beside it."""
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "study.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        connection.execute("INSERT INTO t (x) VALUES (1)")
    return path


def test_copy_of_what_a_crash_left_is_the_state_before_and_leaves_it_so(tmp_path):
    path = half_written(tmp_path / "crashed", "UPDATE t SET x = 'after'")
    before = contents(path.parent)
    assert set(values(path)) == {("before" * 100,)}
    assert contents(path.parent) == before


def test_copy_of_a_database_with_a_log_has_what_was_committed(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("INSERT INTO t (x) VALUES (2)")
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t (x) VALUES (3)")
        before = contents(database.parent)
        assert values(database) == [(1,), (2,)]
        assert contents(database.parent) == before
    assert values(database) == [(1,), (2,)]


def test_copy_beside_a_writer_that_waits_is_the_state_before(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE t SET x = 2")
        assert beside(database).exists()
        assert values(database) == [(1,)]
        writer.execute("COMMIT")
    assert values(database) == [(2,)]


def test_copy_of_a_locked_database_is_given_up(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TimeoutError):
            private_copy(database, 0.05)


MOVING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute(f"PRAGMA journal_mode={sys.argv[2]}")
connection.execute("PRAGMA wal_autocheckpoint=3")
connection.execute("PRAGMA synchronous=OFF")
connection.execute("PRAGMA cache_size=2")
print("ready", flush=True)
for n in range(10**9):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE t SET x = ? || substr(x, 11)", (f"{n:10d}",))
    connection.execute("COMMIT")
"""


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "WAL"])
def test_copies_beside_a_writer_are_each_of_one_moment(tmp_path, mode):
    """Every transaction gives all rows, which fill many pages, one number."""
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        connection.executemany("INSERT INTO t (x) VALUES (?)", [(" " * 1000,)] * 100)
        connection.commit()
    command = [sys.executable, "-c", MOVING, str(tmp_path / "study.db"), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            writer.stdout.readline()
            seen = [{x[:10] for (x,) in values(tmp_path / "study.db")} for _ in range(40)]
        finally:
            writer.kill()
    assert {len(numbers) for numbers in seen} == {1}
    assert len(set.union(*seen)) > 1


def pipe(path):
    os.mkfifo(path)


def link(path):
    (path.parent / "elsewhere").write_bytes(b"")
    path.symlink_to(path.parent / "elsewhere")


def hanging_link(path):
    path.symlink_to(path.parent / "nowhere")


def second_name(path):
    (path.parent / "elsewhere").write_bytes(b"")
    path.hardlink_to(path.parent / "elsewhere")


def device(path):
    path.symlink_to("/dev/zero")


def folder(path):
    path.mkdir()


def large(path):
    path.touch()
    os.truncate(path, TIB)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [pipe, link, hanging_link, second_name, device, folder, large])
def test_anything_but_a_plain_file_beside_it_is_refused(database, make, suffix):
    make(beside(database, suffix))
    for read in (lambda path: private_copy(path, 5.0), require_harmless_files, remove_cold, remove_files_beside):
        with pytest.raises(ValueError, match=rf"^study\.db{suffix} (is not a regular file|has )"):
            read(database)
    assert os.path.lexists(beside(database, suffix))


@pytest.mark.parametrize("make", [pipe, folder, device])
def test_database_that_is_no_plain_file_is_refused(tmp_path, make):
    make(tmp_path / "study.db")
    with pytest.raises(ValueError, match="it is not a regular file"):
        private_copy(tmp_path / "study.db", 5.0)


@pytest.mark.parametrize("size", [MAX_BYTES + 1, TIB])
def test_database_that_is_too_large_is_refused(database, size):
    os.truncate(database, size)
    with pytest.raises(ValueError, match=rf"it has {size:,} bytes, and a study's has at most 1,073,741,824"):
        private_copy(database, 5.0)


def test_journal_of_the_file_that_a_link_leads_to_counts(tmp_path):
    path = half_written(tmp_path / "crashed", "UPDATE t SET x = 'after'")
    (tmp_path / "study.db").symlink_to(path)
    assert set(values(tmp_path / "study.db")) == {("before" * 100,)}
    (tmp_path / "thesis.txt").write_text("years of work")
    name_victim(path, tmp_path / "thesis.txt")
    for read in (lambda path: private_copy(path, 5.0), require_harmless_files):
        with pytest.raises(ValueError, match="names another file"):
            read(tmp_path / "study.db")


def test_link_that_leads_in_a_circle_is_no_database(tmp_path):
    (tmp_path / "study.db").symlink_to(tmp_path / "study.db")
    require_harmless_files(tmp_path / "study.db")
    with pytest.raises(OSError, match="symbolic links"):
        private_copy(tmp_path / "study.db", 5.0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_journal_beside_a_link_is_refused(tmp_path, database, suffix):
    """Programs differ in which of the two they take for the database's."""
    (tmp_path / "study.db").symlink_to(database)
    assert values(tmp_path / "study.db") == [(1,)]
    beside(tmp_path / "study.db", suffix).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"it is a link, and study\.db{suffix} lies beside that"):
        private_copy(tmp_path / "study.db", 5.0)


def test_journal_of_a_database_that_was_emptied_is_nobodys(tmp_path):
    """As for SQLite."""
    path = half_written(tmp_path / "crashed", "UPDATE t SET x = 'after'")
    path.write_bytes(b"")
    assert private_copy(path, 5.0) == b""


@pytest.mark.parametrize("content", [b"", bytes(512)])
def test_remove_cold_removes_a_journal_without_a_head(database, content):
    beside(database).write_bytes(content)
    remove_cold(database)
    assert not beside(database).exists()


def test_remove_cold_leaves_what_is_to_be_rolled_back_and_what_somebody_writes(tmp_path, database):
    path = half_written(tmp_path / "crashed", "UPDATE t SET x = 'after'")
    remove_cold(path)
    assert beside(path).exists()
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        beside(database).write_bytes(b"")
        remove_cold(database)
        assert beside(database).exists()


def test_remove_files_beside_removes_sqlites_and_no_other(database):
    for suffix in SUFFIXES:
        beside(database, suffix).write_bytes(header(0, 7, 1))
    shutil.copy(database, beside(database, "-mine"))
    remove_files_beside(database)
    assert {path.name for path in database.parent.iterdir()} == {"study.db", "study.db-mine"}


STATEMENTS = {
    "changed": "UPDATE t SET x = 'after' || id",
    "grown": "INSERT INTO t (x) SELECT x || 'after' FROM t UNION ALL SELECT x FROM t",
    "removed": "DELETE FROM t WHERE id % 3",
    "changed twice": "UPDATE t SET x = (SELECT group_concat(x) FROM (SELECT x FROM t LIMIT 5))",
}


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_copy_of_half_a_transaction_is_what_sqlite_makes_of_the_file(tmp_path, statement, page_size):
    database = half_written(tmp_path / "crashed", statement, page_size)
    copy = private_copy(database, 5.0)
    assert copy != database.read_bytes()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*), min(x), max(x) FROM t").fetchone() == (400, *["before" * 100] * 2)
    assert not beside(database).exists()
    assert copy == database.read_bytes()


PAGE = bytes(range(256)) * 16


@pytest.mark.parametrize(
    "journal",
    [b"x" * 600, MAGIC + b"\0", header(5, 0, 9)[:500], header(0, 7, 3) + record(1, PAGE, 7),
     header(1, 7, 3) + record(1, PAGE, 8)],
)  # fmt: skip
def test_copy_beside_a_journal_of_nothing_is_the_database(database, journal):
    """What SQLite does not take for one, and one whose pages are not promised or have another checksum."""
    beside(database).write_bytes(journal)
    assert values(database) == [(1,)]


def test_copy_that_its_journal_makes_too_large_is_refused(database):
    beside(database).write_bytes(header(0, 7, 2**20))
    with pytest.raises(ValueError, match="it has 4,294,967,296 bytes, and a study's has at most 1,073,741,824"):
        private_copy(database, 5.0)


def ending_in_its_record(victim):
    """A page of which the last bytes, with its checksum, name another file."""
    name = naming(victim)
    page = PAGE[: -len(name) + 4] + name[:-4]
    nonce = (int.from_bytes(MAGIC[4:], "big") - sum(page[4096 - 200 : 0 : -200])) & 0xFFFFFFFF
    return header(1, nonce, 3) + record(1, page, nonce)


JOURNALS_NAMING_A_FILE = {
    "after a header": lambda victim: header(0, 7, 3) + naming(victim),
    "after records": lambda victim: header(1, 7, 3) + record(1, PAGE, 7) + naming(victim),
    "at the next sector": lambda victim: (header(1, 7, 3) + record(1, PAGE, 7)).ljust(5120, b"\0") + naming(victim),
    "within a record": ending_in_its_record,
    "after a large sector": lambda victim: header(0, 7, 3, sector=65536) + naming(victim),
    "after a header that was cleared": lambda victim: bytes(512) + naming(victim),
    "after what is no header": lambda victim: b"x" * 512 + naming(victim),
    "alone": naming,
}


@pytest.mark.parametrize("journal_of", JOURNALS_NAMING_A_FILE.values(), ids=JOURNALS_NAMING_A_FILE)
def test_journal_that_names_another_file_is_refused(database, journal_of, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    beside(database).write_bytes(journal_of(tmp_path / "thesis.txt"))
    for read in (lambda path: private_copy(path, 5.0), require_harmless_files):
        with pytest.raises(ValueError, match=r"names another file \(a super-journal\), which SQLite would remove"):
            read(database)
    assert (tmp_path / "thesis.txt").exists()


def test_what_is_refused_is_what_sqlite_obeys(tmp_path):
    """So that the tests of files that survive mean something."""
    victim, database = tmp_path / "thesis.txt", tmp_path / "study.db"
    shutil.copy(half_written(tmp_path / "crashed", STATEMENTS["grown"], setup="VACUUM"), database)
    victim.write_text("years of work")
    name_victim(database, victim)
    assert facts(database)[0] == 4096
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA schema_version")
    assert not victim.exists()


FRAME = 24 + 4096


@pytest.fixture
def logged(tmp_path):
    """What a crash left with a log: 300 rows, then three commits, then what was not committed."""
    path = tmp_path / "origin" / "study.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA cache_size=2")
        writer.execute("BEGIN")
        writer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        writer.executemany("INSERT INTO t (x) VALUES (?)", [("before" * 100,)] * 300)
        writer.execute("COMMIT")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute("UPDATE t SET x = 'after' WHERE id < 100")
        writer.execute("DELETE FROM t WHERE id > 250")
        writer.execute("INSERT INTO t VALUES (1000, 'last')")
        writer.execute("BEGIN")
        writer.execute("UPDATE t SET x = 'never' || zeroblob(4000)")
        (tmp_path / "crashed").mkdir()
        for one in (path, beside(path, "-wal")):
            shutil.copy(one, tmp_path / "crashed")
    return tmp_path / "crashed" / "study.db"


def rows_by_sqlite(path):
    """What SQLite shows of copies of the files."""
    shutil.copytree(path.parent, path.parent.with_name("by-sqlite"))
    with closing(sqlite3.connect(path.parent.with_name("by-sqlite") / path.name)) as connection:
        return connection.execute("SELECT x FROM t ORDER BY id").fetchall()


def test_copy_with_a_log_is_what_sqlite_shows_at_its_last_commit(logged):
    before = contents(logged.parent)
    seen = values(logged)
    assert len(seen) == 251
    assert seen[-1] == ("last",)
    assert seen == rows_by_sqlite(logged)
    assert contents(logged.parent) == before


@pytest.mark.parametrize("change", ["cut", "page", "salt", "number"])
def test_copy_with_a_spoilt_log_is_what_sqlite_shows(logged, change):
    log = bytearray(beside(logged, "-wal").read_bytes())
    commits = [at + FRAME for at in range(32, len(log) - FRAME + 1, FRAME) if log[at + 4 : at + 8] != bytes(4)]
    at = commits[1]  # where the last commit begins
    log[at + {"cut": 0, "page": 24 + 77, "salt": 8, "number": 0}[change]] ^= 0xFF
    beside(logged, "-wal").write_bytes(log[: at + 3000] if change == "cut" else log)
    seen = values(logged)
    assert (len(seen), seen[0]) == (250, ("after",))
    assert seen == rows_by_sqlite(logged)


@pytest.mark.parametrize("n_bytes", [0, 31, 32])
def test_copy_with_a_log_without_a_whole_header_is_the_database(logged, n_bytes):
    log = beside(logged, "-wal")
    log.write_bytes(log.read_bytes()[:n_bytes])
    assert values(logged) == [("before" * 100,)] * 300


def checksummed(log):
    """The log with checksums computed word by word, as SQLite's documentation says."""

    def checksum(s0, s1, content):
        words = struct.unpack(f"<{len(content) // 4}I", content)
        for one, two in zip(words[::2], words[1::2], strict=True):
            s0 = (s0 + one + s1) & 0xFFFFFFFF
            s1 = (s1 + two + s0) & 0xFFFFFFFF
        return s0, s1

    sums = checksum(0, 0, log[:24])
    parts = [log[:24], struct.pack(">II", *sums)]
    for at in range(32, len(log) - FRAME + 1, FRAME):
        page = log[at + 24 : at + FRAME]
        sums = checksum(*sums, log[at : at + 8] + page)
        parts += [log[at : at + 16], struct.pack(">II", *sums), page]
    return b"".join(parts)


@pytest.mark.parametrize(("number", "n_pages"), [(2**31, 2**31), (3, 2**32 - 1)])
def test_copy_that_its_log_makes_too_large_is_refused(logged, number, n_pages):
    log = beside(logged, "-wal").read_bytes()
    beside(logged, "-wal").write_bytes(
        checksummed(log[:32] + struct.pack(">II", number, n_pages) + log[40 : 32 + FRAME])
    )
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        private_copy(logged, 5.0)
