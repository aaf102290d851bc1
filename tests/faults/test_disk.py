"""A disk that is full or read-only, and folders that vanish under a running study."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start
from outputs import ended

from explorer.deploy.export.bundle import target_folder
from explorer.errors import StudyDamaged, StudyError, UsageError
from explorer.study.read import load_result
from explorer.study.store.journal import Journal

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "studies" / "reference"
DIGITS = str(ROOT / "search_spaces" / "digits.yaml")
SCRIPT = Path(__file__).with_name("full_disk.py")
MOUNTING = ["unshare", "--map-root-user", "--mount"]
"""A namespace of its own, whose mounts end with the process."""

_PR_CAPBSET_DROP = 24
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what makes root write where nobody may


def like_anybody() -> None:
    """Let the program that is executed next respect permissions, even if root starts it."""
    libc = ctypes.CDLL(None)
    for capability in _OVERRIDES:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def run(*command: object, **options: object) -> None:
    words = [sys.executable, "-W", "error", str(SCRIPT), *map(str, command)]
    prefix = options.pop("prefix", [])
    ended = subprocess.run([*prefix, *words], capture_output=True, text=True, check=False, **options)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"


def test_study_on_a_disk_that_fills_up_at_any_step_stops_cleanly_and_resumes(tmp_path):
    if shutil.which("unshare") is None or subprocess.run([*MOUNTING, "true"], check=False).returncode:
        pytest.skip("nobody may mount a file system here: the limit of a file's size stands for it")
    (tmp_path / "disk").mkdir()
    run("tmpfs", tmp_path / "disk", prefix=MOUNTING)


def test_study_whose_files_may_not_grow_from_any_step_on_stops_cleanly_and_resumes(tmp_path):
    run("limit", tmp_path / "studies")


def test_study_whose_folder_becomes_read_only_at_any_step_stops_cleanly_and_resumes(tmp_path):
    run("read-only", tmp_path / "studies", preexec_fn=like_anybody)


def test_study_whose_folder_is_moved_while_it_runs_says_so_and_goes_on_once_it_is_back(tmp_path):
    folder, elsewhere, view = tmp_path / "small", tmp_path / "elsewhere", RecordingView()

    def move(variant, number):
        if number == 3:
            folder.rename(elsewhere)

    with pytest.raises(
        StudyError, match=r"study\.db was moved or removed while the study used it.*Put it back"
    ) as said:
        start(small_space(n_trials=6), folder, FakeEvaluator(folder, before=move), view)
    assert said.value.exit_code == 6
    shutil.rmtree(folder)
    elsewhere.rename(folder)
    assert list(load_result(folder).trials) == view.records
    assert len(view.records) == 3
    assert len(start(small_space(n_trials=6), folder).trials) == 6


def test_study_whose_folder_is_removed_while_it_runs_ends_with_a_sentence(tmp_path):
    folder = tmp_path / "small"

    def remove(variant, number):
        if number == 3:
            shutil.rmtree(folder)

    with pytest.raises(StudyError, match="was moved or removed while the study used it"):
        start(small_space(n_trials=6), folder, FakeEvaluator(before=remove))


def test_study_whose_database_is_removed_while_it_runs_is_forked_from_its_journal(tmp_path):
    folder, view = tmp_path / "small", RecordingView()

    def remove(variant, number):
        if number == 3:
            (folder / "study.db").unlink()

    with pytest.raises(StudyError, match="was moved or removed while the study used it"):
        start(small_space(n_trials=6), folder, FakeEvaluator(folder, before=remove), view)
    with pytest.raises(StudyDamaged, match="--fork NAME"):
        start(small_space(n_trials=6), folder, FakeEvaluator(folder))
    evaluator = FakeEvaluator(tmp_path / "again")
    start(small_space("again", n_trials=6), tmp_path / "again", evaluator, fork_from=folder)
    assert len(Journal(folder).numbers()) == 4  # the trial that was told to nobody was kept before that
    assert len(evaluator.evaluated) == 2


def test_study_in_a_read_only_folder_is_read_and_nothing_is_written(tmp_path):
    studies, written = tmp_path / "studies", tmp_path / "written"
    written.mkdir()
    shutil.copytree(REFERENCE, studies / "reference", ignore=shutil.ignore_patterns("artifacts"))
    folders = [studies, studies / "reference", studies / "reference" / "trials"]
    commands = (
        ["front", "reference"],
        ["show", "reference", "5", "--json"],
        ["report", "reference"],
        ["start", DIGITS, "--no-dashboard"],
    )
    cases = [{"arguments": [*c, "--studies", str(studies)], "sink": "file"} for c in commands]
    for folder in folders:
        folder.chmod(0o555)
    try:
        front, show, report, start_ = ended(written, *cases, preexec_fn=like_anybody)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert (front["code"], show["code"], report["code"], start_["code"]) == (0, 0, 2, 6)
    assert "Permission denied; choose another place with -o" in report["err"]
    assert f"{studies}/digits cannot be used (Permission denied)" in start_["err"]
    assert sorted(path.name for path in studies.iterdir()) == ["reference"]


def test_export_into_a_full_disk_leaves_nothing(tmp_path):
    script = """
import resource, sys
from pathlib import Path
from explorer.deploy.export.bundle import target_folder
from explorer.errors import ExplorerError
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    with target_folder(Path(sys.argv[1])) as draft:
        (draft / "model").write_bytes(bytes(10_000))
except ExplorerError as error:
    print(error.exit_code, error)
"""
    shown = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "bundle")], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith(f"1 the disk of {tmp_path} is full; nothing was left there")
    assert list(tmp_path.iterdir()) == []


def test_export_beside_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"), target_folder(tmp_path / "file" / "bundle"):
        pytest.fail("there is no such folder")
