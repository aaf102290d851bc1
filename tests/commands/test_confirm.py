"""`explore confirm` and `explore front` on a fake evaluator: what is printed where, and the exit codes."""

from __future__ import annotations

import json

import pytest
from fakes import VOCABULARY, FakeEvaluator, small_space, start

from explorer.commands import start as command
from explorer.commands.options import ConfirmOptions, FrontOptions
from explorer.commands.read import front
from explorer.errors import Interrupted, NotAvailable, StudyLocked
from explorer.study.store.lock import study_lock


@pytest.fixture
def studies(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "write_outputs", lambda result: None)
    monkeypatch.setattr(command, "vocabulary", lambda: VOCABULARY)
    start(small_space(n_trials=4), tmp_path / "small")
    return tmp_path


def confirm(studies, monkeypatch, n_rounds=None, is_json=True, data=None, **options):
    monkeypatch.setattr(
        command, "MeasuringEvaluator", lambda space, folder, data, interrupt: FakeEvaluator(folder, **options)
    )
    command.confirm(ConfirmOptions(str(studies / "small"), n_rounds, data, as_json=is_json))


def test_confirm_json_is_alone_on_standard_output_and_front_says_the_same(studies, monkeypatch, capsys):
    front(FrontOptions(str(studies / "small"), as_json=True))
    searched, said = capsys.readouterr()
    assert json.loads(searched)["confirmed"] is False
    assert "`explore confirm` measures the finalists again" in said
    confirm(studies, monkeypatch, n_rounds=6)
    out, said = capsys.readouterr()
    assert json.loads(out)["confirmed"] is True
    assert "confirmed in 6 rounds (medians over fresh processes); search values: --search" in said
    front(FrontOptions(str(studies / "small"), as_json=True))
    assert json.loads(capsys.readouterr().out) == json.loads(out)
    front(FrontOptions(str(studies / "small"), as_json=True, search=True))
    assert capsys.readouterr().out == searched


def test_confirm_interrupted_says_how_to_go_on(studies, monkeypatch):
    def stop(variant, name):
        raise Interrupted("interrupted by SIGINT")

    monkeypatch.setattr("sys.argv", ["explore", "confirm", "small", "--rounds", "6", "--data", "my data"])
    with pytest.raises(Interrupted, match=r"To go on: explore confirm small --rounds 6 --data 'my data'$"):
        confirm(studies, monkeypatch, 6, before_again=stop)


def test_confirm_without_artifacts_ends_with_5(studies, monkeypatch):
    for path in (studies / "small" / "artifacts").glob("*/artifact.json"):
        path.unlink()
    with pytest.raises(NotAvailable, match="nothing to measure again") as caught:
        confirm(studies, monkeypatch)
    assert caught.value.exit_code == 5


def test_confirm_held_study_is_locked(studies, monkeypatch):
    with study_lock(studies / "small", pytest.fail), pytest.raises(StudyLocked, match="is held by"):
        confirm(studies, monkeypatch)
