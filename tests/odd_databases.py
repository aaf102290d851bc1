"""Databases as crashes and strangers leave them, for several folders of tests."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

MAGIC = bytes.fromhex("d9d505f920a163d7")


def header(n_records: int, nonce: int, n_pages: int, sector: int = 512, page_size: int = 4096) -> bytes:
    """The header of a rollback journal."""
    return (MAGIC + struct.pack(">IIIII", n_records, nonce, n_pages, sector, page_size)).ljust(sector, b"\0")


def record(number: int, page: bytes, nonce: int) -> bytes:
    """The record of a page in a rollback journal."""
    checksum = (nonce + sum(page[at] for at in range(len(page) - 200, 0, -200))) & 0xFFFFFFFF
    return struct.pack(">I", number) + page + struct.pack(">I", checksum)


def naming(victim: Path, page_size: int = 4096) -> bytes:
    """The end of a rollback journal that names `victim` as its super-journal."""
    name = bytes(victim)
    checksum = sum(byte - 256 if byte > 127 else byte for byte in name) & 0xFFFFFFFF
    lock_page = 0x40000000 // page_size + 1
    return struct.pack(">I", lock_page) + name + struct.pack(">II", len(name), checksum) + MAGIC


def facts(database: Path) -> tuple[int, int]:
    """The size of its pages, and how many it has."""
    head = database.read_bytes()[:32]
    size = int.from_bytes(head[16:18], "big")
    return 65536 if size == 1 else size, int.from_bytes(head[28:32], "big")


def beside(database: Path, suffix: str = "-journal") -> Path:
    """The file of SQLite's beside the database."""
    return database.with_name(f"{database.name}{suffix}")


def name_victim(database: Path, victim: Path) -> None:
    """Give the database a journal that makes SQLite remove `victim`."""
    page_size, n_pages = facts(database)
    beside(database).write_bytes(header(0, 0x1234, n_pages, page_size=page_size) + naming(victim, page_size))


def half_written(folder: Path, statement: str, page_size: int = 4096, setup: str = "") -> Path:
    """A database of a table `t (id, x)` whose writer was killed while it executed `statement` in a transaction.

    It is in `folder`, with the journal of what had reached the disk by then.
    """
    origin = folder.with_name(f"{folder.name}-origin")
    origin.mkdir()
    folder.mkdir()
    with closing(sqlite3.connect(origin / "study.db", isolation_level=None)) as writer:
        writer.execute(f"PRAGMA page_size={page_size}")
        writer.execute("PRAGMA cache_size=2")  # so that the transaction comes to the disk before it ends
        writer.execute("BEGIN")
        writer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        writer.executemany("INSERT INTO t (x) VALUES (?)", [("before" * 100,)] * 400)
        writer.execute("COMMIT")
        if setup:
            writer.execute(setup)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(statement)
        for path in origin.glob("study.db*"):
            shutil.copy(path, folder)
    return folder / "study.db"
