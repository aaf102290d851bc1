"""Where commands print: pipes whose reader has gone, full disks, closed streams, poor terminals, one that hangs up."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from outputs import ended

from explorer.study.read import load_result
from explorer.study.store.location import LIVE_STATUS_NAME
from explorer.study.store.lock import HOLDER_NAME

ROOT = Path(__file__).parents[2]
STUDY = str(ROOT / "studies" / "reference")
DIGITS = str(ROOT / "search_spaces" / "digits.yaml")
EXPLORE = str(Path(sys.executable).with_name("explore"))
PRINTED = (["front", STUDY, "--json"], ["show", STUDY, "5", "--json"], ["front", STUDY], ["--version"])
"""More than a buffer holds, and less; by Python, by Rich, and by Typer."""

READING = (*PRINTED, ["front", STUDY, "--csv"], ["show", STUDY, "5"], ["check", DIGITS], ["--help"])


def complaints(text: object) -> list[str]:
    return [line for line in str(text).splitlines() if "Traceback" in line or "Exception" in line or "Error" in line]


@pytest.mark.parametrize(
    ("sink", "code", "said"),
    [("pipe", 141, ""), ("full", 1, "No space left on device"), ("closed", 0, ""), ("all closed", 0, "")],
)
def test_reading_command_whose_output_cannot_be_written_ends_without_a_traceback(tmp_path, sink, code, said):
    commands = READING if sink == "pipe" else PRINTED
    answers = ended(tmp_path, *({"arguments": arguments, "sink": sink} for arguments in commands))
    for arguments, answer in zip(commands, answers, strict=True):
        assert (arguments, answer["code"], complaints(answer["err"])) == (arguments, code, [])
        assert said in str(answer["err"])


def test_reading_command_at_the_head_of_a_pipe_line_ends_with_141_or_0():
    line = f"{EXPLORE} front {STUDY} --json | head -1"
    shown = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert shown.returncode in (0, 141)
    assert shown.stdout == "{\n"
    assert complaints(shown.stderr) == []


def test_error_is_said_and_keeps_its_exit_code_where_nobody_reads_the_output(tmp_path):
    cases = [["front", STUDY, "--where", "latency_ms <= 0.000001"], ["show", STUDY, "999999"]]
    impossible, unknown = ended(tmp_path, *({"arguments": arguments, "sink": "pipe"} for arguments in cases))
    assert (impossible["code"], unknown["code"]) == (3, 2)
    assert "no finished trial 999999" in str(unknown["err"])
    assert complaints(impossible["err"]) == complaints(unknown["err"]) == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_check_of_what_is_missing_keeps_its_exit_code_where_nobody_reads_the_output(tmp_path, options):
    space, folder = tmp_path / "photos.yaml", tmp_path / "nowhere"
    values = ", ".join(f"{0.5 + step / 10_000:.4f}" for step in range(1000))  # their JSON is more than a buffer holds
    space.write_text(
        "name: photos\nmodel: slimmable_cnn\ndata: {name: image_folder, path: photos, validation: 50}\n"
        f"parameters: {{exit_threshold: [{values}]}}\nobjectives: {{accuracy: maximize}}\n"
    )
    arguments = ["check", str(space), "--data", str(folder), *options]
    (answer,) = ended(tmp_path, {"arguments": arguments, "sink": "pipe"})
    assert (answer["code"], complaints(answer["err"])) == (5, [])
    assert "of what" in str(answer["err"])
    assert "is missing: data" in str(answer["err"])


def test_reading_command_with_an_ascii_output_prints_ascii_without_control_codes(tmp_path):
    answers = ended(tmp_path, *({"arguments": a, "sink": "file", "encoding": "ascii"} for a in READING))
    for arguments, answer in zip(READING, answers, strict=True):
        assert (arguments, answer["code"], complaints(answer["err"])) == (arguments, 0, [])
        assert str(answer["out"]).isascii()
        assert "\x1b" not in str(answer["out"])


def test_reading_command_in_a_dumb_terminal_writes_no_control_codes(tmp_path):
    commands = (["front", STUDY], ["show", STUDY, "5"])
    poor = ended(tmp_path, *({"arguments": a, "sink": "terminal"} for a in commands))
    rich = ended(tmp_path, *({"arguments": a, "sink": "terminal", "term": "xterm-256color"} for a in commands))
    for one, other in zip(poor, rich, strict=True):
        assert (one["code"], other["code"]) == (0, 0)
        assert "\x1b" not in str(one["out"])
        assert "\x1b" in str(other["out"])


def test_reading_command_in_the_c_locale_prints_the_table(tmp_path):
    environment = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "TERM": "dumb"}
    shown = subprocess.run(
        [EXPLORE, "front", STUDY], env={**os.environ, **environment}, capture_output=True, check=True, timeout=300
    )
    assert shown.stdout.isascii()
    assert b"latency" in shown.stdout
    assert complaints(shown.stderr.decode()) == []


def command(tmp_path: Path, n_trials: int, *options: str) -> list[str]:
    script = [sys.executable, str(ROOT / "tests" / "faults" / "on_terminal.py"), str(tmp_path / "marks")]
    return [
        *script,
        DIGITS,
        "--studies",
        str(tmp_path / "studies"),
        "--trials",
        str(n_trials),
        "--no-confirm",
        *options,
    ]


def n_marks(tmp_path: Path) -> int:
    path = tmp_path / "marks"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("options", [["--port", "0"], ["--no-dashboard", "--quiet"]])
def test_study_whose_terminal_hangs_up_ends_as_interrupted_and_is_whole(tmp_path, options):
    terminal, inside = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name} | {"TERM": "xterm"}
    streams = {"stdin": inside, "stdout": inside, "stderr": inside}
    process = subprocess.Popen(
        command(tmp_path, 1000, *options), **streams, env=environment, start_new_session=True, close_fds=True
    )
    os.close(inside)
    shown = b""
    while n_marks(tmp_path) < 4:
        assert process.poll() is None, shown.decode()
        if select.select([terminal], [], [], 0.05)[0]:
            shown += os.read(terminal, 65536)
    os.close(terminal)
    try:
        assert process.wait(60) == 130
    finally:
        process.kill()
    require_whole(tmp_path, n_least=3)
    assert (b"http://127.0.0.1" in shown) is ("--port" in options)


def test_study_that_is_told_to_stop_where_nobody_reads_ends_as_interrupted(tmp_path, eventually):
    reading, writing = os.pipe()
    process = subprocess.Popen(
        command(tmp_path, 1000, "--no-dashboard"), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing
    )
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    try:
        eventually(lambda: n_marks(tmp_path) >= 4 or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    require_whole(tmp_path, n_least=3)


@pytest.mark.parametrize("sink", ["pipe", "full"])
def test_study_whose_log_cannot_be_written_runs_to_its_end(tmp_path, sink):
    reading, output = os.pipe() if sink == "pipe" else (-1, os.open("/dev/full", os.O_WRONLY))
    if reading >= 0:
        os.close(reading)
    process = subprocess.run(
        command(tmp_path, 5, "--no-dashboard"), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
    )
    os.close(output)
    assert process.returncode == (141 if sink == "pipe" else 1)  # the front at the end had no reader either
    assert len(load_result(tmp_path / "studies" / "digits").trials) == 5
    require_whole(tmp_path, n_least=5)


def require_whole(tmp_path: Path, n_least: int) -> None:
    """The study has its trials and its outputs, none of them running, and nothing says that anybody is at work."""
    folder = tmp_path / "studies" / "digits"
    result = load_result(folder)
    assert len(result.trials) >= n_least
    stored = optuna.load_study(study_name="digits", storage=f"sqlite:///{folder / 'study.db'}").trials
    assert all(trial.state.is_finished() for trial in stored)
    assert (folder / "trials.csv").read_text().count("\n") == len(result.trials) + 1
    assert [name for name in (LIVE_STATUS_NAME, HOLDER_NAME) if (folder / name).exists()] == []
    assert list(folder.rglob(".*")) == []
