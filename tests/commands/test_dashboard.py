"""`explore dashboard`: the installed command, as a user starts it and ends it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import small_space, start

from explorer.commands.dashboard import dashboard
from explorer.errors import NotAvailable, UsageError
from explorer.space.values import Parameter
from explorer.views.server.thread import _bound

EXPLORE = str(Path(sys.executable).with_name("explore"))
LINK = re.compile(r"http://([^/]+)/\?token=(\S+)")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    start(small_space(n_trials=4), tmp_path / "studies" / "small")
    return tmp_path / "studies" / "small"


class Running:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([EXPLORE, "dashboard", *arguments], stderr=subprocess.PIPE, text=True)
        self.lines = [line := self.process.stderr.readline()]
        while line and not LINK.search(line):
            self.lines.append(line := self.process.stderr.readline())
        found = LINK.search(line)
        assert found, "".join(self.lines)
        self.netloc, self.token = found.groups()

    def get(self, path):
        port = self.netloc.rpartition(":")[2]
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        connection.request("GET", path, headers={"Cookie": f"explore-{port}={self.token}"})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=60)
        return self.process.returncode, rest


@pytest.fixture
def run():
    running = []

    def begin(*arguments):
        running.append(Running(*arguments))
        return running[-1]

    yield begin
    for one in running:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize("is_path", [True, False])
def test_finished_study_is_served_from_its_folder_until_ctrl_c(run, folder, is_path):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    arguments = [str(folder)] if is_path else ["small", "--studies", str(folder.parent)]
    running = run(*arguments, "--port", "0")
    state = json.loads(running.get("/api/state")[1])
    assert state["trials"]["number"] == [0, 1, 2, 3]
    assert state["live"]["status"] == "finished"
    status, page = running.get("/")
    assert status == 200
    assert b"small" in page
    code, rest = running.end()
    assert code == 0
    assert "Traceback" not in rest
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with socket.socket() as port, pytest.raises(ConnectionRefusedError):
        port.connect(("127.0.0.1", int(running.netloc.rpartition(":")[2])))


def test_study_that_goes_on_is_followed(run, folder, eventually):
    running = run(str(folder), "--port", "0")
    start(small_space(n_trials=6), folder)
    eventually(lambda: json.loads(running.get("/api/state")[1])["trials"]["number"] == [0, 1, 2, 3, 4, 5])
    assert running.end(signal.SIGTERM)[0] == 0


def test_study_that_was_stopped_early_is_called_interrupted(run, folder):
    start(small_space(n_trials=4), folder)
    running = run(str(folder), "--port", "0")
    assert running.get("/nowhere")[0] == 404
    assert running.end()[0] == 0


def test_host_that_others_reach_needs_allow_remote_and_says_what_it_opens(run, folder):
    with pytest.raises(UsageError, match=r"opens the dashboard to other machines.*--allow-remote"):
        dashboard(str(folder), None, 0, "0.0.0.0", False)
    running = run(str(folder), "--port", "0", "--host", "0.0.0.0", "--allow-remote")
    assert "other machines" in "".join(running.lines)
    assert running.netloc.startswith("127.0.0.1:")
    assert running.get("/api/state")[0] == 200
    assert running.end()[0] == 0


def test_taken_port_ends_with_5(folder):
    with _bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotAvailable, match=f"port {port} ") as found:
            dashboard(str(folder), None, port, "127.0.0.1", False)
    assert found.value.exit_code == 5


def test_process_leaves_the_measuring_cores_alone(folder, monkeypatch):
    from explorer.commands import dashboard as command

    moved = []
    monkeypatch.setattr(command.cores, "available", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, found: moved.append(found))
    space = small_space(threads=(1, 2))
    command._keep_off_measuring_cores(space)
    assert moved == [{0, 1}]
    monkeypatch.setattr(command.cores, "available", lambda: [0, 1])
    command._keep_off_measuring_cores(space)
    assert moved == [{0, 1}]  # none to spare


@pytest.mark.parametrize(
    ("n_trials", "values", "expected"), [(4, {}, 4), (60, {"width": (0.5, 1.0), "runtime": ("eager",)}, 16)]
)
def test_study_has_no_more_trials_than_variants(n_trials, values, expected):
    from explorer.commands.dashboard import _n_possible

    assert _n_possible(small_space(n_trials=n_trials, **values)) == expected


def test_study_with_a_runtime_that_is_not_known_here_counts_its_trials():
    from dataclasses import replace

    from explorer.commands.dashboard import _n_possible

    space = small_space(n_trials=60)
    parameters = {**space.parameters, "runtime": Parameter("runtime", ("of-elsewhere",))}
    assert _n_possible(replace(space, parameters=parameters)) == 60
