import json
import os
import stat

import pytest

from explorer.views.server import security
from explorer.views.server.security import new_keys


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_each_start_has_a_token_of_its_own(tmp_path):
    first, second = new_keys(tmp_path, 8321), new_keys(tmp_path, 8321)
    assert first.token != second.token
    assert len(first.token) >= 32
    assert not second.is_token(first.token)


def test_page_of_the_start_before_may_go_on(tmp_path):
    first, second = new_keys(tmp_path, 8321), new_keys(tmp_path, 8321)
    assert second.opens(first.token)
    assert not first.opens(second.token)


def test_page_of_another_study_or_port_may_not(tmp_path):
    first = new_keys(tmp_path / "a", 8321)
    assert not new_keys(tmp_path / "b", 8321).opens(first.token)
    assert not new_keys(tmp_path / "a", 8322).opens(first.token)


def test_old_tokens_are_forgotten(tmp_path, monkeypatch):
    first = new_keys(tmp_path, 8321)
    started = security.time.time()
    monkeypatch.setattr(security.time, "time", lambda: started + 25 * 3600)
    assert not new_keys(tmp_path, 8321).opens(first.token)


def test_only_the_last_few_are_kept(tmp_path):
    tokens = [new_keys(tmp_path, 8321).token for _ in range(8)]
    last = new_keys(tmp_path, 8321)
    assert [last.opens(token) for token in tokens] == [False] * 4 + [True] * 4


def test_kept_file_holds_hashes_for_the_user_alone(tmp_path, cache):
    token = new_keys(tmp_path, 8321).token
    (file,) = (cache / "dashboard").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()
    assert len(json.loads(file.read_text())) == 1


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[["a", "b"]]', "\x00\xff"])
def test_damaged_file_costs_only_the_memory(tmp_path, cache, content):
    new_keys(tmp_path, 8321)
    (file,) = (cache / "dashboard").iterdir()
    file.write_text(content)
    assert new_keys(tmp_path, 8321).earlier == ()


def test_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "file"))
    assert new_keys(tmp_path, 8321).token
    assert os.listdir(tmp_path) == ["file"]
