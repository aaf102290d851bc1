"""The installed `explore` command: what it says, where it says it, and its exit codes."""

from __future__ import annotations

import json
import os
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


def explore(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("explore")), *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def test_help_lists_the_commands_that_work_and_no_others():
    shown = explore("--help")
    assert shown.returncode == 0
    listed = [line.split()[0] for line in shown.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_answers_to_help(command):
    shown = explore(command, "--help")
    assert shown.returncode == 0
    assert "Usage: explore" in shown.stdout


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

    assert explore("--version").stdout == f"explore {__version__}\n"


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
def test_bad_input_is_one_sentence_with_its_exit_code(arguments, exit_code, said, tmp_path):
    shown = explore(*arguments, EXPLORER_STUDIES=str(tmp_path))
    assert shown.returncode == exit_code
    assert said in shown.stderr
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_start_without_data_says_where_it_looked_and_what_needs_none(tmp_path):
    studies = tmp_path / "studies"
    shown = explore("start", str(SPACES / "cnn.yaml"), "--data", str(tmp_path), "--studies", str(studies), **OFFLINE)
    assert shown.returncode == 5
    assert str(tmp_path) in shown.stderr
    assert "digits.yaml" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_check_shows_size_parameters_data_runtimes_and_time():
    shown = explore("check", str(SPACES / "digits.yaml"))
    assert shown.returncode == 0, shown.stderr
    for word in (
        "1,100 variants",
        "exit_threshold",
        "static_int8",
        "digits (scikit-learn)",
        "runtime eager",
        "trials about",
    ):
        assert word in shown.stdout


def test_check_json_is_alone_on_standard_output():
    facts = json.loads(explore("check", str(SPACES / "digits.yaml"), "--json").stdout)
    assert facts["n_variants"] == 1100
    assert "eager:static_int8" not in facts["executable_pairs"]
    assert facts["n_pairs_left_out"] == 1
    assert all(finding["ok"] for finding in facts["findings"])


@pytest.mark.parametrize(("widths", "n_variants", "n_trials"), [("[0.25, 0.5]", 2, 3), ("[0.5, 1.0]", 2, 2)])
def test_check_counts_the_baseline_beside_a_small_space(tmp_path, widths, n_variants, n_trials):
    space = "name: s\nmodel: slimmable_cnn\ndata: {name: digits}\nobjectives: {latency_ms: minimize}\n"
    (tmp_path / "s.yaml").write_text(f"{space}parameters: {{width: {widths}}}\n")
    facts = json.loads(explore("check", str(tmp_path / "s.yaml"), "--json").stdout)
    assert (facts["n_variants"], facts["n_trials"]) == (n_variants, n_trials)


def test_check_missing_data_exits_5_and_still_shows_the_rest(tmp_path):
    shown = explore("check", str(SPACES / "cnn.yaml"), "--data", str(tmp_path), **OFFLINE)
    assert shown.returncode == 5
    assert "1,400 variants" in shown.stdout
    assert "MISSING data" in shown.stdout
    assert "ok      weights: shipped with the package" in shown.stdout
    assert "base network trained" in shown.stdout


def test_init_writes_a_space_that_checks(tmp_path):
    assert explore("init", "mine", cwd=tmp_path).returncode == 0
    assert explore("check", "mine.yaml", cwd=tmp_path).returncode == 0
    again = explore("init", "mine", cwd=tmp_path)
    assert again.returncode == 2
    assert "mine.yaml" in again.stderr


def test_device_json_names_processor_runtimes_and_noise():
    facts = json.loads(explore("device", "--json").stdout)
    assert facts["processor"]["n_cores"] == len(os.sched_getaffinity(0))
    assert set(facts["runtimes"]) >= {"eager", "onnxruntime"}
    assert facts["noise_floor"]["n"] >= 20
    assert facts["noise_floor"]["median_ms"] > 0


def test_device_into_a_closed_pipe_ends_quietly():
    command = f"{Path(sys.executable).with_name('explore')} device | head -1"
    shown = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert shown.stdout.startswith("processor")
    assert shown.stderr == ""
