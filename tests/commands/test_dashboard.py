"""`explore dashboard`: the installed command, as a user starts it and ends it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start

from explorer.commands import dashboard as command
from explorer.commands.dashboard import dashboard
from explorer.commands.serving import Address
from explorer.errors import Interrupted, NotAvailable, UsageError
from explorer.study.confirm.confirmation import Confirmation
from explorer.study.read import load_result
from explorer.study.store.live_status import PolledStudy
from explorer.system import cores
from explorer.web.addresses import listening

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


def test_study_that_is_running_is_shown_as_its_coordinator_shows_it(run, folder, eventually):
    """Stage, progress, the trial that is tried, and the time left come from the note that the coordinator keeps."""
    running, seen = run(str(folder), "--port", "0"), []
    live = lambda: json.loads(running.get("/api/state")[1])["live"]  # noqa: E731

    def look(event):
        if event == "progress measuring":
            number = len(seen) + 4
            eventually(lambda: (live()["running"] or {}).get("trial") == number and live()["progress"])
            seen.append(live())

    start(small_space(n_trials=7), folder, view=RecordingView(look))
    assert [one["running"]["trial"] for one in seen] == [4, 5, 6]
    assert "width" in seen[0]["running"]["variant"]
    assert {one["progress"]["stage"] for one in seen} == {"measuring"}
    assert [(one["status"], one["n_done"]) for one in seen] == [("running", n) for n in (4, 5, 6)]
    assert [one["seconds_left"] is None for one in seen] == [True, False, False]
    eventually(lambda: live()["status"] == "finished")
    assert live()["running"] is None


def test_study_that_is_still_being_prepared_is_shown(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    seen = []

    def look(event):
        if event == "progress data":
            one = run("small", "--studies", str(tmp_path), "--port", "0")
            seen.append(json.loads(one.get("/api/state")[1]))
            one.end()

    start(small_space(n_trials=2), tmp_path / "small", view=RecordingView(look))
    ((state),) = seen
    assert (state["n_trials"], state["trials"]["number"]) == (2, [])
    assert state["live"]["progress"]["stage"] == "data"
    assert state["live"]["status"] == "running"


def test_study_that_was_stopped_early_is_called_interrupted(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))

    def stop(variant, number):
        if number == 2:
            raise Interrupted("now")

    with pytest.raises(Interrupted):
        start(small_space(n_trials=4), tmp_path / "small", FakeEvaluator(tmp_path / "small", before=stop))
    running = run(str(tmp_path / "small"), "--port", "0")
    assert json.loads(running.get("/api/state")[1])["live"]["status"] == "interrupted"
    assert running.get("/nowhere")[0] == 404
    assert running.end()[0] == 0


@pytest.mark.parametrize(
    ("timeout_s", "n_confirmed", "status"),
    [(60.0, 4, "finished"), (60.0, 3, "interrupted"), (60.0, None, "interrupted"), (None, 4, "interrupted")],
)
def test_study_whose_time_was_up_is_finished_once_it_is_confirmed(folder, timeout_s, n_confirmed, status):
    found = load_result(folder)
    search = replace(found.space.search, n_trials=9, timeout_s=timeout_s)
    last = max(trial.finished for trial in found.trials)
    confirmation = None if n_confirmed is None else Confirmation(0, n_confirmed, last, (), ended="settled")
    result = replace(found, space=replace(found.space, search=search), confirmation=confirmation)
    assert command._status(PolledStudy(result)) == status


def test_study_that_does_not_read_for_a_while_is_said_once_and_shown_as_it_was(run, folder, eventually):
    running = run(str(folder), "--port", "0")
    whole = (folder / "study.db").read_bytes()
    (folder / "study.db").write_bytes(b"not a database" * 100)
    assert "Ctrl-C" in running.process.stderr.readline()
    assert "damaged" in running.process.stderr.readline()
    assert json.loads(running.get("/api/state")[1])["trials"]["number"] == [0, 1, 2, 3]
    (folder / "study.db").write_bytes(whole)
    start(small_space(n_trials=5), folder)
    eventually(lambda: json.loads(running.get("/api/state")[1])["live"]["version"] == 5)
    code, rest = running.end()
    assert (code, rest) == (0, "")


def test_host_that_others_reach_needs_allow_remote_and_says_what_it_opens(run, folder):
    with pytest.raises(UsageError, match=r"to other machines.*reads the study and can export.*--allow-remote"):
        dashboard(folder, Address("0.0.0.0", 0))
    running = run(str(folder), "--port", "0", "--host", "0.0.0.0", "--allow-remote")
    assert re.search("other machines.*reads the study and can export bundles", "".join(running.lines))
    assert running.netloc.startswith("127.0.0.1:")
    assert running.get("/api/state")[0] == 200
    assert running.end()[0] == 0


def test_taken_port_ends_with_5(folder):
    with listening("127.0.0.1", 0, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotAvailable, match=f"port {port} ") as found:
            dashboard(folder, Address(port=port))
    assert found.value.exit_code == 5


def test_process_leaves_the_measuring_cores_alone():
    """Every thread of it, those that NumPy has begun included; and nothing moves where no core is to spare."""
    from explorer.commands.dashboard import _off_measuring_cores

    available, ended = cores.available(), threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    for threads in ((1,), (1, len(available))):
        spared = set(available) - set(available[-max(threads) :])
        with _off_measuring_cores(small_space(threads=threads)):
            assert os.sched_getaffinity(0) == (spared or set(available))
            assert os.sched_getaffinity(other.native_id) == (spared or set(available))
        assert os.sched_getaffinity(0) == set(available)
    ended.set()
    other.join()


def test_second_ctrl_c_ends_it_at_once_and_names_what_shows_it_again(folder, monkeypatch):
    def pressed(*_):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(command, "_follow", pressed)
    monkeypatch.setattr("sys.argv", ["explore", "dashboard", "small", "--port", "0"])
    again = "explore dashboard small --port 0"
    with pytest.raises(Interrupted, match=rf"^stopped at once by a second signal\. To look again: {again}$"):
        dashboard(folder, Address(port=0))
