"""The `explore` command: what it says, where it says it, and its exit codes; some of it as it is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPACES = ROOT / "search_spaces"
OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # nothing answers there
COMMANDS = (
    *("start", "check", "init", "front", "show", "dashboard", "report"),
    *("confirm", "export", "verify", "serve", "train", "device"),
)


def installed(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("explore")), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_help_lists_the_commands_that_work_and_no_others():
    shown = installed("--help")
    assert shown.returncode == 0
    listed = [line.split()[0] for line in shown.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_answers_to_help(command, explore):
    shown = explore(command, "--help")
    assert shown.exit_code == 0
    assert re.match(rf"Usage: .*explore {command} ", shown.out)  # before it, click names the program that tests


def test_help_and_check_load_neither_torch_nor_optuna():
    for arguments in (["--help"], ["check", str(SPACES / "digits.yaml")]):
        code = (
            "import sys\n"
            f"sys.argv = ['explore', *{arguments!r}]\n"
            "from explorer.cli import main\n"
            "try:\n    main()\n"
            "except SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
            "heavy = {'torch', 'optuna', 'pandas', 'sklearn', 'plotly', 'uvicorn'}\n"
            "print('loaded', sorted(heavy & set(sys.modules)))\n"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert shown.stdout.splitlines()[-1] == "loaded []"


def test_version_is_the_packages():
    from explorer import __version__

    assert installed("--version").stdout == f"explore {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["start", "missing.yaml"], 2, "missing.yaml"),
        (["start", "search_spaces/digits.yaml", "--timeout", "soon"], 2, "soon"),
        (["start", "search_spaces/digits.yaml", "--timeout", "-5"], 2, "-5"),
        (["start", "search_spaces/digits.yaml", "--trials", "0"], 2, "--trials"),
        (["start", "search_spaces/digits.yaml", "--name", "../../x"], 2, "--name"),
        (["start", "search_spaces/digits.yaml", "--sampler", "tpee"], 2, "tpe"),
        (["start"], 2, "SPACE.yaml"),
        (["frnt", "x"], 2, "front"),
        (["front", "no-such-study"], 2, "no-such-study"),
        (["show", "no-such-study", "1"], 2, "no-such-study"),
        (["report", "no-such-study"], 2, "no-such-study"),
        (["dashboard", "no-such-study"], 2, "no-such-study"),
        (["dashboard", "no-such-study", "--host", "0.0.0.0"], 2, "--allow-remote"),
        (["dashboard", "no-such-study", "--port", "65536"], 2, "65535"),
        (["start", "search_spaces/digits.yaml", "--port", "8400", "--no-dashboard"], 2, "--no-dashboard"),
        (["train", "search_spaces/digits.yaml", "--recipe", "lnog"], 2, "long"),
    ],
)
def test_bad_input_is_one_sentence_with_its_exit_code(arguments, exit_code, said, tmp_path, explore, monkeypatch):
    monkeypatch.setenv("EXPLORER_STUDIES", str(tmp_path))
    shown = explore(*arguments)
    assert shown.exit_code == exit_code
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_bad_input_to_the_installed_command_is_one_sentence_with_its_exit_code():
    shown = installed("front", "no-such-study")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("explore: no study 'no-such-study'")
    assert shown.stderr.count("\n") == 1


def test_start_without_data_says_where_it_looked_and_what_needs_none(tmp_path):
    studies = tmp_path / "studies"
    shown = installed("start", str(SPACES / "cnn.yaml"), "--data", str(tmp_path), "--studies", str(studies), **OFFLINE)
    assert shown.returncode == 5
    assert str(tmp_path) in shown.stderr
    assert "digits.yaml" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_check_shows_size_parameters_data_runtimes_and_time(explore):
    shown = explore("check", str(SPACES / "digits.yaml"))
    assert shown.exit_code == 0, shown.err
    for word in (
        "216 variants",
        "exit_threshold",
        "static_int8",
        "cluttered_digits (scikit-learn)",
        "runtime eager",
        "trials about",
    ):
        assert word in shown.out


def test_check_json_is_alone_on_standard_output():
    facts = json.loads(installed("check", str(SPACES / "digits.yaml"), "--json").stdout)
    assert facts["n_variants"] == 216
    assert "eager:static_int8" not in facts["executable_pairs"]
    assert facts["n_pairs_left_out"] == 1
    assert all(finding["ok"] for finding in facts["findings"])


@pytest.mark.parametrize(("widths", "n_variants", "n_trials"), [("[0.25, 0.5]", 2, 3), ("[0.5, 1.0]", 2, 2)])
def test_check_counts_the_baseline_beside_a_small_space(tmp_path, widths, n_variants, n_trials, explore):
    space = "name: s\nmodel: slimmable_cnn\ndata: {name: digits}\nobjectives: {latency_ms: minimize}\n"
    (tmp_path / "s.yaml").write_text(f"{space}parameters: {{width: {widths}}}\n")
    facts = json.loads(explore("check", str(tmp_path / "s.yaml"), "--json").out)
    assert (facts["n_variants"], facts["n_trials"]) == (n_variants, n_trials)


def test_check_missing_data_exits_5_and_still_shows_the_rest(tmp_path, explore, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    shown = explore("check", str(SPACES / "cnn.yaml"), "--data", str(tmp_path))
    assert shown.exit_code == 5
    assert "1,400 variants" in shown.out
    assert "MISSING data" in shown.out
    assert "ok      weights: shipped with the package" in shown.out
    assert "base network trained" in shown.out


def test_init_writes_a_space_that_checks(tmp_path, explore, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert explore("init", "mine").exit_code == 0
    assert explore("check", "mine.yaml").exit_code == 0
    again = explore("init", "mine")
    assert again.exit_code == 2
    assert "mine.yaml" in again.err


def test_device_json_names_processor_runtimes_and_noise():
    facts = json.loads(installed("device", "--json").stdout)
    assert facts["processor"]["n_cores"] == len(os.sched_getaffinity(0))
    assert set(facts["runtimes"]) >= {"eager", "onnxruntime"}
    assert 0 <= facts["noise"]["quiet_ratio"] <= 1
    assert facts["noise"]["sentence"].startswith("this core is quiet")


def test_device_into_a_closed_pipe_ends_quietly():
    command = f"{Path(sys.executable).with_name('explore')} device | head -1"
    shown = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert shown.stdout.startswith("processor")
    assert shown.stderr == ""
