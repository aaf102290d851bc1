"""The first command, `make start`: the main study where its data can be had, else the embedded one, to its front."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEvaluator, known_metrics

from explorer.commands import start as command
from explorer.commands.options import StartOptions
from explorer.errors import DataNotAvailable, SpaceError, StudyIncompatible, UsageError

ROOT = Path(__file__).parents[2]
MAIN, EMBEDDED = ROOT / "search_spaces" / "cnn.yaml", ROOT / "search_spaces" / "digits.yaml"
NO_WAY_OUT = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # nobody listens at this port


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in NO_WAY_OUT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the studies whose evaluators were made, which are fakes."""
    names: list[str] = []

    def evaluator(space: Any, folder: Path, *_: Any) -> FakeEvaluator:
        names.append(space.name)
        return FakeEvaluator(folder, metrics=known_metrics)

    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "MeasuringEvaluator", evaluator)
    monkeypatch.setattr(command, "write_outputs", lambda result: None)
    return names


def options(tmp_path: Path, **changes: Any) -> StartOptions:
    """Three trials of the main study with the embedded one behind it, and an empty data folder."""
    (tmp_path / "data").mkdir(exist_ok=True)
    values = {
        "trials": 3,
        "sampler": "random",
        "fallback": EMBEDDED,
        "data": tmp_path / "data",
        "studies": tmp_path / "studies",
        "no_dashboard": True,
        "no_confirm": True,
    }
    return StartOptions(MAIN, **(values | changes))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("is_quiet", [False, True])
def test_first_start_without_data_says_in_two_sentences_what_is_missing_and_runs_the_embedded_study(
    tmp_path: Path, begun: list[str], capsys: pytest.CaptureFixture[str], is_quiet: bool
) -> None:
    command.start(options(tmp_path, as_json=True, quiet=is_quiet))
    out, said = capsys.readouterr()
    assert begun == ["digits"]
    assert json.loads(out)["study"] == "digits"
    (sentence,) = [line for line in said.splitlines() if "runs instead of" in line]
    assert sentence.startswith(f"{EMBEDDED} runs instead of {MAIN}: the data set cifar10 was not found")
    assert "cannot be downloaded either" in sentence
    assert "Get the official archive of 163 MiB, for instance with `curl -LO https://www.cs" in sentence
    assert f"put it into {tmp_path / 'data'}, or" in sentence
    assert sentence.count(". ") == 1
    assert not (tmp_path / "studies" / "cifar10-cnn").exists()


@pytest.mark.usefixtures("offline")
def test_first_start_again_goes_on_with_the_embedded_study(tmp_path: Path, begun: list[str]) -> None:
    for _ in range(2):
        command.start(options(tmp_path))
    assert begun == ["digits", "digits"]


@pytest.mark.usefixtures("offline", "begun")
def test_first_start_beside_an_older_study_of_the_same_name_gives_the_command_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.start(options(tmp_path))
    changed = tmp_path / "changed.yaml"
    changed.write_text(EMBEDDED.read_text(encoding="utf-8").replace("0.9 * baseline", "0.8 * baseline"))
    monkeypatch.setattr("sys.argv", ["explore", "start", str(MAIN), "--fallback", str(changed), "--trials", "3"])
    with pytest.raises(StudyIncompatible, match=r"--fork NAME: explore start \S+/changed\.yaml --trials 3 --fork NAME"):
        command.start(options(tmp_path, fallback=changed))


@pytest.mark.usefixtures("offline")
def test_first_start_with_data_runs_the_main_study(
    tmp_path: Path, begun: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    command.start(options(tmp_path))
    assert begun == ["cifar10-cnn"]
    assert "instead of" not in capsys.readouterr().err


@pytest.mark.usefixtures("offline")
def test_first_start_beside_the_other_study_of_before_runs_the_one_that_it_can(
    tmp_path: Path, begun: list[str]
) -> None:
    data = tmp_path / "data" / "cifar-10-batches-py"
    data.mkdir(parents=True)
    command.start(options(tmp_path))
    data.rmdir()
    command.start(options(tmp_path))
    data.mkdir()
    command.start(options(tmp_path, as_json=True))
    assert begun == ["cifar10-cnn", "digits", "cifar10-cnn"]


@pytest.mark.usefixtures("offline")
def test_first_start_whose_download_fails_runs_the_embedded_study(
    tmp_path: Path, begun: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    made = command.MeasuringEvaluator

    def evaluator(space: Any, *rest: Any) -> Any:
        found = made(space, *rest)
        if space.name == "cifar10-cnn":
            monkeypatch.setattr(found, "prepare", _fail)
        return found

    monkeypatch.setattr(command, "MeasuringEvaluator", evaluator)
    command.start(options(tmp_path))
    assert begun == ["cifar10-cnn", "digits"]
    assert "runs instead of" in capsys.readouterr().err


def _fail(*_: Any) -> None:
    raise DataNotAvailable("CIFAR-10 could not be downloaded from there (timed out). Start again later")


@pytest.mark.parametrize("changes", [{"name": "mine"}, {"fork": "mine"}])
def test_fallback_with_a_name_for_the_study_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    values = {"fallback": EMBEDDED} | changes
    with pytest.raises(UsageError, match="leave out --name and --fork, or --fallback"):
        command.start(StartOptions(MAIN, **values))


@pytest.mark.parametrize("is_same_file", [True, False])
def test_fallback_of_the_same_name_is_refused(tmp_path: Path, begun: list[str], is_same_file: bool) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(EMBEDDED.read_text(encoding="utf-8").replace("name: digits\n", "name: cifar10-cnn\n", 1))
    with pytest.raises(UsageError, match="both have the name 'cifar10-cnn'"):
        command.start(options(tmp_path, fallback=MAIN if is_same_file else other))
    assert begun == []


def test_fallback_that_does_not_read_is_refused_even_where_it_is_not_needed(tmp_path: Path, begun: list[str]) -> None:
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(SpaceError, match=r"broken\.yaml:"):
        command.start(options(tmp_path, fallback=broken))
    assert begun == []


def test_command_line_that_goes_on_with_the_fallback_names_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["explore", "start", str(MAIN), "--fallback", str(EMBEDDED), "--json"])
    assert command.to_repeat(StartOptions(MAIN, fallback=EMBEDDED)) == shlex.join(sys.argv)
    found = command.to_repeat(StartOptions(EMBEDDED), MAIN)
    assert found == f"explore start {EMBEDDED} --json"


def make_start(*variables: str) -> list[str]:
    """The command that `make start` runs after the installation."""
    planned = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "start", *variables],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        capture_output=True,
        text=True,
        check=True,
    )
    return shlex.split(planned.stdout.splitlines()[-1])


def test_make_start_of_a_search_space_has_no_fallback() -> None:
    assert make_start("SPACE=mine.yaml") == [".venv/bin/explore", "start", "mine.yaml"]


@pytest.mark.slow
def test_make_start_without_data_or_network_ends_with_a_front(tmp_path: Path, known_times: Path) -> None:
    program, *arguments = make_start()
    assert program == ".venv/bin/explore"
    (tmp_path / "data").mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        **NO_WAY_OUT,
        "EXPLORER_DATA": str(tmp_path / "data"),
        "EXPLORER_STUDIES": str(tmp_path / "studies"),
    }
    done = subprocess.run(
        [str(known_times), *arguments, "--trials", "1", "--no-confirm", "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["front"]
    assert "search_spaces/digits.yaml runs instead of search_spaces/cnn.yaml" in done.stderr
    for name in ("front.csv", "trials.csv", "report.html"):
        assert (tmp_path / "studies" / "digits" / name).stat().st_size > 0
    assert list((tmp_path / "data").iterdir()) == []
