"""`explore export`, as a user runs it, on a small real study."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from explorer.deploy.selection import Selection, choose
from explorer.study.store.facts import FACTS_KEY


def export(*arguments, cwd, check=False):
    command = [sys.executable, "-m", "explorer", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=check, timeout=300)


def test_export_knee_writes_a_bundle_and_says_what_was_chosen(small_study, tmp_path):
    done = export(small_study.folder, "--knee", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (bundle,) = tmp_path.iterdir()
    facts = json.loads((bundle / "manifest.json").read_text())
    number = facts["chosen"]["trial"]
    assert bundle.name == f"small-trial-{number}" == facts["name"]
    assert done.stdout.startswith(f"Trial {number} of small: the knee of the confirmed front\n")
    assert done.stdout.count(" instead: ") == len(choose(small_study, Selection(is_knee=True)).neighbors)
    assert f"explore verify {bundle.name}" in done.stdout
    assert f"trial {number}" in (bundle / "front.svg").read_text()
    card = (bundle / "README.md").read_text()
    assert card.startswith(f"# small-trial-{number}\n")
    assert "Accuracy on the 359 test images, which chose nothing: " in card


def test_export_json_is_alone_on_standard_output(small_study, tmp_path):
    done = export(small_study.folder, "--best", "latency_ms", "--where", "accuracy >= 0.3", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["how"] == "the best latency_ms of the confirmed front where accuracy >= 0.3"
    assert facts["format"] == "bundle"
    assert (tmp_path / facts["folder"] / "run.py").is_file()
    assert facts["test_accuracy"]["n"] == 359


def test_export_nothing_feasible_exits_3_with_the_nearest_misses(small_study, tmp_path):
    done = export(small_study.folder, "--knee", "--where", "latency_ms <= 0.000001", cwd=tmp_path)
    assert done.returncode == 3
    assert "no finalist satisfies every constraint with its confirmed values" in done.stderr
    assert "Nearest misses:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_existing_target_needs_force(small_study, tmp_path):
    export(small_study.folder, "--knee", "-o", "out", cwd=tmp_path, check=True)
    again = export(small_study.folder, "--knee", "-o", "out", cwd=tmp_path)
    assert again.returncode == 2
    assert "out is there already" in again.stderr
    assert export(small_study.folder, "--knee", "-o", "out", "--force", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected one of --trial N, --knee and --best METRIC"),
        (("--knee", "--format", "zip"), "--format: expected one of bundle, onnx, triton, mlflow, got 'zip'"),
        (("--trial", "999"), "no finished trial 999 in small"),
        (("--knee", "--where", "speed > 3"), "speed"),
    ],
)
def test_export_bad_arguments_exit_2_with_one_sentence(small_study, tmp_path, arguments, message):
    done = export(small_study.folder, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_without_the_data_says_that_the_test_accuracy_is_not_known(small_study, tmp_path):
    """The study's folder alone is enough for everything else; digits are always at hand, so the study is altered."""
    folder = shutil.copytree(small_study.folder, tmp_path / "small")
    query = "SELECT value_json FROM study_user_attributes WHERE key = ?"
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        ((text,),) = database.execute(query, (FACTS_KEY,)).fetchall()
        fingerprint = small_study.provenance["identity"]["data"]["fingerprint"]
        altered = text.replace(fingerprint, "0" * len(fingerprint))
        assert altered != text
        database.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = ?", (altered, FACTS_KEY))
        database.commit()
    done = export(folder, "--knee", "-o", "confirmed", "--json", cwd=tmp_path)
    known = json.loads(done.stdout)
    assert known["test_accuracy"]["n"] == 359  # the confirmation has looked at the test split, once
    assert known["confirmed"]["rounds"] == 2  # as in tests/known_times.py
    (folder / "confirmation.json").unlink()
    done = export(folder, "--knee", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the accuracy on the test split is not known: the digits in" in done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["test_accuracy"]["value"] is None
    assert "is not the one of the study" in manifest["test_accuracy"]["why"]


def test_export_terminated_leaves_nothing(small_study, tmp_path):
    command = [sys.executable, "-m", "explorer", "export", str(small_study.folder), "--knee", "-o", "out"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()  # the choice is printed before anything is written
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    if (tmp_path / "out").exists():  # it was written before the signal came, which then ended what was left to say
        assert process.returncode in (0, 130, -signal.SIGTERM)
        assert (tmp_path / "out" / "manifest.json").is_file()
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
    else:
        assert process.returncode == 130
        assert list(tmp_path.iterdir()) == []
