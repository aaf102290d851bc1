"""Study folders that are damaged, incomplete, of another program, or made to do harm."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bad_case import Case, Payload
from fakes import artifact_facts, segment
from odd_databases import beside, name_victim

from explorer.study.store.facts import FACTS_KEY, RECORD_KEY
from explorer.system.hashing import file_sha256

REFERENCE = Path(__file__).parents[2] / "studies" / "reference"
FRONT = ("front", "cnn", "--studies", ".")
EXPORT = ("export", "cnn", "--studies", ".", "--knee", "-o", "out")
_PAGE = 4096
_DEEP = "[" * 100_000


def study(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """The reference study, and then `change` in its folder."""

    def make(work: Path) -> None:
        folder = work / "cnn"
        shutil.copytree(REFERENCE, folder, ignore=shutil.ignore_patterns("measurements"))
        change(folder)

    return make


def text(name: str, content: str) -> Callable[[Path], None]:
    """A file of the study's folder is this text."""
    return study(lambda folder: (folder / name).write_text(content))


def pipe(name: str) -> Callable[[Path], None]:
    """A file of the study's folder is a named pipe, into which nobody writes."""

    def make(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return study(make)


def fact(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """What the database says of the study itself is changed; a text is taken as it is."""

    def make(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "study.db")) as database:
            ((content,),) = database.execute(
                "SELECT value_json FROM study_user_attributes WHERE key = ?", (FACTS_KEY,)
            ).fetchall()
            changed = change(json.loads(content))
            database.execute(
                "UPDATE study_user_attributes SET value_json = ? WHERE key = ?",
                (changed if isinstance(changed, str) else json.dumps(changed), FACTS_KEY),
            )
            database.commit()

    return study(make)


def record(replace: Callable[[str], str]) -> Callable[[Path], None]:
    """The record of one trial is changed."""

    def make(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "study.db")) as database:
            query = "SELECT trial_user_attribute_id, value_json FROM trial_user_attributes WHERE key = ? LIMIT 1"
            ((number, content),) = database.execute(query, (RECORD_KEY,)).fetchall()
            query = "UPDATE trial_user_attributes SET value_json = ? WHERE trial_user_attribute_id = ?"
            database.execute(query, (replace(content), number))
            database.commit()

    return study(make)


def _cut(folder: Path) -> None:
    content = (folder / "study.db").read_bytes()
    (folder / "study.db").write_bytes(content[: len(content) // 2])


def _overwritten(folder: Path) -> None:
    content = bytearray((folder / "study.db").read_bytes())
    content[_PAGE : 2 * _PAGE] = b"\xff" * _PAGE
    (folder / "study.db").write_bytes(content)


def _foreign(folder: Path) -> None:
    (folder / "study.db").unlink()
    with closing(sqlite3.connect(folder / "study.db")) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")
        database.commit()


def _naming_a_file(folder: Path) -> None:
    (folder.parent / "thesis.txt").write_text("years of work")
    name_victim(folder / "study.db", folder.parent / "thesis.txt")


def beside_database(suffix: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A file that SQLite would look at beside the database is what `make` makes."""
    return study(lambda folder: make(beside(folder / "study.db", suffix)))


def _link(path: Path) -> None:
    (path.parent.parent / "thesis.txt").write_text("years of work")
    path.symlink_to(path.parent.parent / "thesis.txt")


def sql(*statements: str) -> Callable[[Path], None]:
    """Somebody has changed what the database consists of."""

    def make(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "study.db")) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    return study(make)


def _folder_as_database(work: Path) -> None:
    (work / "cnn" / "study.db").mkdir(parents=True)


def artifacts(content: Callable[[Path], str]) -> Callable[[Path], None]:
    """Every artifact's description is what `content` gives for its folder."""

    def make(folder: Path) -> None:
        for artifact in (folder / "artifacts").iterdir():
            (artifact / "artifact.json").write_text(content(artifact))

    return study(make)


def _pipes(folder: Path) -> None:
    for artifact in (folder / "artifacts").iterdir():
        os.mkfifo(artifact / "artifact.json")


def _described(file: str, sha256: str) -> str:
    return json.dumps(artifact_facts(segment(file, sha256), runtime="eager").to_json())


def _payload(artifact: Path) -> str:
    program = artifact / "segment_0.pt2"
    program.write_bytes(pickle.dumps(Payload(artifact.parents[2])))
    return _described(program.name, file_sha256(program))


def _changed(artifact: Path) -> str:
    (artifact / "segment_0.pt2").write_bytes(b"changed")
    return _described("segment_0.pt2", "0" * 64)


def _with(key: str, value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda facts: {**facts, key: value}


def _in_space(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def changed(facts: dict[str, Any]) -> dict[str, Any]:
        change(facts["space"])
        return facts

    return changed


def _other_objective(space: dict[str, Any]) -> None:
    space["objectives"][0]["metric"] = "beauty"


def _nothing(work: Path) -> None:
    """There is no study."""


_DAMAGED = r"^the study's database is damaged: \S*study\.db: {}.*--fork NAME"
_NAMES_A_FILE = _DAMAGED.format(r"its rollback journal names another file \(a super-journal\)")
_ENDLESS = "AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS study_id, 'cnn' AS {} FROM n"
_NO_CONFIRMATION = r"^\S*confirmation\.json is not .*: delete it, and `explore confirm` measures the finalists again"

DATABASES = (
    Case("database_empty", text("study.db", ""), FRONT, 6,
         _DAMAGED.format("it does not hold the study whose 60 trials")),
    Case("database_of_text", text("study.db", "select everything\n" * 500), FRONT, 6,
         _DAMAGED.format(".*not a database")),
    Case("database_cut_short", study(_cut), FRONT, 6, _DAMAGED.format("")),
    Case("database_with_a_page_overwritten", study(_overwritten), FRONT, 6, _DAMAGED.format("")),
    Case("database_of_another_program", study(_foreign), FRONT, 6,
         _DAMAGED.format("it does not hold the study whose 60 trials")),
    Case("database_that_is_a_folder", _folder_as_database, FRONT, 2, r"^no study in cnn: `explore start SPACE\.yaml`"),
    Case("database_whose_facts_are_no_json", fact(lambda facts: "{"), FRONT, 6, _DAMAGED.format("")),
    Case("database_whose_facts_are_a_list", fact(lambda facts: "[1]"), FRONT, 6, _DAMAGED.format("")),
    Case("database_whose_facts_nest_too_deeply", fact(lambda facts: _DEEP), FRONT, 6, _DAMAGED.format("")),
    Case("database_of_a_later_format", fact(_with("format", 99)), FRONT, 6,
         _DAMAGED.format("the study has format 99, this version reads 2")),
    Case("database_without_a_space", fact(_with("space", {})), FRONT, 6, _DAMAGED.format("")),
    Case("database_with_an_objective_of_nothing", fact(_in_space(_other_objective)), FRONT, 6,
         _DAMAGED.format("its objectives or constraints are no metrics")),
    Case("database_with_a_parameter_less", fact(_in_space(lambda space: space["parameters"].pop("width"))), FRONT, 6,
         _DAMAGED.format(r"trial \d+ has parameters that its search space does not have: width")),
    Case("database_with_a_parameter_of_no_values",
         fact(_in_space(lambda space: space["parameters"]["width"].update(values=[]))), FRONT, 6,
         _DAMAGED.format("it has a parameter without values")),
    Case("database_with_a_bound_of_text",
         fact(_in_space(lambda space: space["constraints"][0].update(bound="1"))), FRONT,
         6, _DAMAGED.format("its facts.space.constraints.0.bound: Input should be a valid number")),
    Case("database_with_a_name_of_none", fact(_in_space(lambda space: space.update(name=None))), FRONT, 6,
         _DAMAGED.format("its facts.space.name: Input should be a valid string")),
    Case("record_with_another_value", record(lambda text: text.replace('"value": 0.', '"value": 1.')), FRONT, 6,
         _DAMAGED.format("a trial's record does not have its checksum")),
    Case("record_that_nests_too_deeply", record(lambda text: _DEEP), FRONT, 6, _DAMAGED.format("")),
    Case("record_that_is_a_number", record(lambda text: "7"), FRONT, 6, _DAMAGED.format("")),
)  # fmt: skip

STRANGERS = (
    *(Case(f"journal_naming_a_file_{command[0]}", study(_naming_a_file), command, 6, _NAMES_A_FILE)
      for command in (FRONT, ("show", "cnn", "0", "--studies", "."), EXPORT,
                      ("report", "cnn", "--studies", ".", "-o", "r.html"), ("dashboard", "cnn", "--studies", "."),
                      ("confirm", "cnn", "--studies", "."))),
    Case("journal_that_is_a_pipe", beside_database("-journal", os.mkfifo), FRONT, 6,
         _DAMAGED.format(r"study\.db-journal is not a regular file")),
    Case("journal_that_is_a_link", beside_database("-journal", _link), FRONT, 6,
         _DAMAGED.format(r"study\.db-journal is not a regular file")),
    Case("log_that_is_a_pipe", beside_database("-wal", os.mkfifo), FRONT, 6,
         _DAMAGED.format(r"study\.db-wal is not a regular file")),
    Case("shared_memory_that_is_a_link", beside_database("-shm", _link), FRONT, 6,
         _DAMAGED.format(r"study\.db-shm is not a regular file")),
    Case("database_of_a_tebibyte", study(lambda f: os.truncate(f / "study.db", 2**40)), FRONT, 6,
         _DAMAGED.format("it has 1,099,511,627,776 bytes, and a study's has at most 1,073,741,824")),
    Case("database_of_endless_views",
         sql("ALTER TABLE studies RENAME TO studies_", f"CREATE VIEW studies {_ENDLESS.format('study_name')}"), FRONT,
         6, _DAMAGED.format("it holds the view 'studies', which no study has")),
    Case("database_with_a_view_of_its_own", sql(f"CREATE VIEW mine {_ENDLESS.format('x')}"), FRONT, 6,
         _DAMAGED.format("it holds the view 'mine', which no study has")),
    Case("database_with_a_trigger",
         sql("CREATE TRIGGER hook AFTER INSERT ON trials BEGIN DELETE FROM trials; END"), FRONT, 6,
         _DAMAGED.format("it holds the trigger 'hook', which no study has")),
    Case("database_with_a_table_that_computes",
         sql("CREATE TABLE big (x, y GENERATED ALWAYS AS (zeroblob(1000000000)))"), FRONT, 6,
         _DAMAGED.format("it holds the table that computes 'big', which no study has")),
)  # fmt: skip

FILES = (
    Case("confirmation_cut_short", study(lambda f: (f / "confirmation.json").write_text('{"format": 1, ')), FRONT, 6,
         _NO_CONFIRMATION),
    Case("confirmation_that_is_a_list", text("confirmation.json", "[]"), FRONT, 6, _NO_CONFIRMATION),
    Case("confirmation_that_nests_too_deeply", text("confirmation.json", _DEEP), FRONT, 6, _NO_CONFIRMATION),
    Case("confirmation_not_in_utf_8", study(lambda f: (f / "confirmation.json").write_bytes(b"\xff\xfe{")), FRONT, 6,
         _NO_CONFIRMATION),
    Case("confirmation_that_is_a_pipe", pipe("confirmation.json"), FRONT, 6,
         r"confirmation\.json is not a regular file: delete it"),
    Case("confirmation_that_is_a_pipe_shown", pipe("confirmation.json"), ("show", "cnn", "0", "--studies", "."), 6,
         r"confirmation\.json is not a regular file: delete it"),
    Case("storage_of_no_json", text("storage.json", "sqlite://"), FRONT, 6,
         r"^cnn/storage\.json does not read \(.*\): give the database's URL with --storage"),
    Case("storage_of_no_url", text("storage.json", '{"url": "somewhere"}'), FRONT, 2, r"is no URL of a database"),
    Case("storage_of_an_unknown_database", text("storage.json", '{"url": "foo://bar"}'), FRONT, 5,
         r"^the database foo://bar needs a driver that is not here \("),
    Case("storage_of_a_database_without_driver", text("storage.json", '{"url": "oracle://me@nowhere/x"}'), FRONT, 5,
         r"^the database oracle://me@nowhere/x needs a driver that is not here \("),
)  # fmt: skip

ARTIFACTS = (
    Case("artifact_missing", study(lambda f: None), EXPORT, 6,
         r"^the artifact of trial \d+ does not read \(.*\): .*--fork"),
    Case("artifact_that_is_a_pipe", study(_pipes), EXPORT, 6,
         r"^the artifact of trial \d+ does not read \(.*artifact\.json is not a regular file"),
    Case("artifact_of_no_json", artifacts(lambda a: "{"), EXPORT, 6, r"^the artifact of trial \d+ does not read"),
    Case("artifact_that_is_a_list", artifacts(lambda a: "[]"), EXPORT, 6, r"does not describe an artifact"),
    Case("artifact_that_nests_too_deeply", artifacts(lambda a: _DEEP), EXPORT, 6, r"does not describe an artifact"),
    Case("artifact_without_segments", artifacts(lambda a: '{"format": 2, "segments": []}'), EXPORT, 6,
         r"does not describe an artifact: segments: expected a list of 1"),
    Case("artifact_of_a_later_format", artifacts(lambda a: '{"format": 3, "segments": []}'), EXPORT, 6,
         r"has the format 3, expected 2"),
    Case("artifact_that_climbs", artifacts(lambda a: _described("../../../../etc/passwd", "0" * 64)), EXPORT, 6,
         r"segments\.0\.file is .*: expected the name of a file in this folder"),
    Case("artifact_that_changed", artifacts(_changed), EXPORT, 6,
         r"segment_0\.pt2 in \S+ changed since the measurement"),
    Case("artifact_with_a_payload", artifacts(_payload), EXPORT, 6,
         r"'segment_0\.pt2' is not an archive.*: nothing of .* is loaded or exported"),
)  # fmt: skip

WORDS = (
    Case("study_of_300_letters", _nothing, ("front", "x" * 300), 2, r"^no study '?x+.* in studies"),
    Case("study_that_climbs", _nothing, ("front", "../../x"), 2, r"^no study '\.\./\.\./x' in studies"),
    Case("study_of_an_empty_name", _nothing, ("front", ""), 2, r"^no study '' in studies"),
    Case("report_to_300_letters", study(lambda f: None), ("report", "cnn", "--studies", ".", "-o", "x" * 300), 2,
         r"^the report cannot be written to x+: File name too long; choose another place with -o"),
    Case("limit_that_calls", study(lambda f: None), (*FRONT, "--where", "accuracy >= open('canary', 'w')"), 2,
         r"^expected a number, or a number \* baseline, got the text"),
    Case("trial_that_is_not_there", study(lambda f: None), ("show", "cnn", "999", "--studies", "."), 2,
         r"^no finished trial 999 in cifar10-cnn: it has trials 0 to 59"),
)  # fmt: skip

CASES = (*DATABASES, *STRANGERS, *FILES, *ARTIFACTS, *WORDS)
