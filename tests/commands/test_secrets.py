"""Secrets: neither the password of a storage URL nor the dashboard's token is in what a study writes or says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fakes import FakeEvaluator, RecordingView, small_space
from fakes import start as run_fake_study

from explorer.commands import start as command
from explorer.commands.options import StartOptions
from explorer.errors import Interrupted, NotAvailable

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/\?token=([\w-]+)")
PASSWORD, OTHER = "correct-horse", "battery-staple"
NOBODY = f"postgresql://me:{PASSWORD}@127.0.0.1:1/db?sslpassword={OTHER}"  # nothing listens there


def files_with(folder: Path, *secrets: str) -> list[str]:
    """The files below the folder that hold one of the secrets."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert found
    return [str(path) for path in found if any(secret.encode() in path.read_bytes() for secret in secrets)]


def started(tmp_path, monkeypatch, storage=None, has_dashboard=False, before=lambda variant, number: None):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "MeasuringEvaluator", lambda space, folder, *_: FakeEvaluator(folder, before=before))
    options = StartOptions(
        DIGITS,
        trials=3,
        sampler="random",
        studies=tmp_path / "studies",
        storage=storage,
        no_dashboard=not has_dashboard,
        as_json=True,
        no_confirm=True,
    )
    command.start(options)


def test_dashboard_token_is_in_the_link_alone(tmp_path, monkeypatch, capsys):
    started(tmp_path, monkeypatch, has_dashboard=True)

    out, said = capsys.readouterr()
    (token,) = LINK.findall(said)
    assert said.count(token) == 1
    assert token not in out
    assert json.loads(out)["study"] == "digits"
    assert (tmp_path / "studies" / "digits" / "report.html").is_file()
    assert list((tmp_path / "cache" / "dashboard").iterdir())
    assert files_with(tmp_path, token) == []


def test_storage_password_of_a_database_that_cannot_be_reached_is_nowhere(tmp_path):
    view = RecordingView()

    with pytest.raises(
        NotAvailable,
        match=r"^the database postgresql://me:\*\*\*@127\.0\.0\.1:1/db\?\*\*\* needs a driver that is not here",
    ) as caught:
        run_fake_study(small_space(), tmp_path / "small", view=view, storage_url=NOBODY)
    assert caught.value.exit_code == 5
    for text in (str(caught.value), *view.notes):
        assert PASSWORD not in text
        assert OTHER not in text
    assert files_with(tmp_path, PASSWORD, OTHER) == []


def test_storage_secret_behind_the_question_mark_is_not_repeated_or_kept(tmp_path, monkeypatch):
    """SQLite has no password; a driver that enciphers takes one as the value of a parameter."""

    def stop(variant, number):
        if number == 1:
            raise Interrupted("interrupted by SIGINT")

    url = f"sqlite:///{tmp_path / 'study.db'}?key={PASSWORD}"
    monkeypatch.setattr("sys.argv", ["explore", "start", str(DIGITS), "--storage", url])
    with pytest.raises(Interrupted, match=r"--storage 'sqlite:///.*study\.db\?\*\*\*'") as caught:
        started(tmp_path, monkeypatch, url, before=stop)
    assert PASSWORD not in str(caught.value)
    assert files_with(tmp_path / "studies", PASSWORD) == []
