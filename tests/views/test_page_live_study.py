"""The page beside real processes: a study that runs to its end, and a server that is killed and started again."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from browsing import DRAWN, FRONT, RANGE, drag, wait_for_address
from fakes import small_space, start

from explorer.study.store.live_status import StudyPoller

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXPLORE = str(Path(sys.executable).with_name("explore"))
LINK = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=[\w-]{20,}(?=\s)")
N_TRIALS = 4
SPACE = """\
name: live
model: slimmable_cnn
training: {recipe: quick}
recovery: {steps: 3}
data: {name: digits, validation: 200, calibration: 32}  # those of other tests: its network is trained once a run
parameters:
  width: [0.25, 0.5, 0.75, 1.0]
  runtime: [eager, onnxruntime]
objectives: {accuracy: maximize, latency_ms: minimize}
search: {sampler: tpe, trials: 4, seed: 0}
"""
# Training the base network takes a minute, on a busy machine ten.
STUDY_S = 1500

# In one breath: how the page calls the study, and what it draws of it.
SEEN = f"() => [document.body.dataset.status, document.querySelector('#plot-front .scatterlayer') ? ({DRAWN})() : []]"


class AtTerminal:
    """`explore` at a terminal of its own, where somebody reads what it prints and has no display."""

    def __init__(self, *command):
        terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name} | {"TERM": "dumb"}
        streams = {"stdin": inside, "stdout": inside, "stderr": inside}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, **streams)
        os.close(inside)
        self.said = ""
        threading.Thread(target=self._read, args=(terminal,), daemon=True).start()

    def _read(self, terminal):
        # A terminal whose last program has left it says so with an error.
        with open(terminal, "rb", buffering=0) as stream, suppress(OSError):
            while some := stream.read(65536):
                self.said += some.decode("utf-8", "replace")

    def link(self, eventually):
        eventually(lambda: LINK.search(self.said) is not None or self.process.poll() is not None)
        found = LINK.search(self.said)
        assert found, self.said
        return found

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def at_terminal():
    """Starts a command at a terminal; whatever still runs at the end is killed."""
    running = []

    def begin(*arguments):
        running.append(AtTerminal(*map(str, arguments)))
        return running[-1]

    yield begin
    for one in running:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def page(browser):
    """A page that remembers its errors and what it asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.errors, page.asked = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    context.close()


def test_page_of_a_study_that_runs_has_its_trials_and_ends_with_its_front(
    page, at_terminal, known_times, eventually, tmp_path
):
    (tmp_path / "live.yaml").write_text(SPACE)
    options = ["--studies", tmp_path, "--no-confirm", "--port", 0]
    study = at_terminal(known_times, "start", tmp_path / "live.yaml", *options)
    page.goto(study.link(eventually)[0])
    page.wait_for_selector("body[data-ready=true]")
    watch, seen, status = StudyPoller(tmp_path / "live"), [[]], ""
    for _ in range(10 * STUDY_S):
        assert study.process.poll() is None, study.said
        status, drawn = page.evaluate(SEEN)
        assert len(drawn) == len(set(drawn))
        if drawn != seen[-1]:
            assert set(seen[-1]) < set(drawn) <= finished(watch)
            seen.append(drawn)
        if status != "running":
            break
        page.wait_for_timeout(100)
    assert status == "finished"
    assert page.locator("#status-word").inner_text() == "finished"
    assert page.locator("#status-count").inner_text() == f"{N_TRIALS} trials"
    assert any(0 < len(drawn) < N_TRIALS - 1 for drawn in seen), seen  # points came while it ran
    assert set(page.evaluate(DRAWN)) == finished(watch)
    arguments = [EXPLORE, "front", "live", "--studies", str(tmp_path), "--json"]
    printed = subprocess.run(arguments, capture_output=True, check=False, timeout=120)
    assert page.evaluate(FRONT) == sorted(one["trial"] for one in json.loads(printed.stdout)["front"])
    assert page.errors == []
    assert study.end() == printed.returncode == 0


@pytest.fixture
def zoomed(page, at_terminal, eventually, monkeypatch, tmp_path):
    """A study of four trials, its dashboard, and `page`, zoomed in: the folder, the process, the link and the port."""
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "small"
    start(small_space(n_trials=4), folder)
    server = at_terminal(EXPLORE, "dashboard", folder, "--port", 0)
    link, port = server.link(eventually).group(0, 1)
    page.goto(link)
    wait_for_trials(page, 4)
    drag(page)
    return folder, server, link, port


def test_page_whose_server_is_killed_finds_the_next_one_and_has_each_trial_once(page, at_terminal, eventually, zoomed):
    folder, server, link, port = zoomed
    page.locator("#trials-table tr[data-trial='2']").click()
    wait_for_address(page, "trial=2")
    shown = page.evaluate(RANGE), page.evaluate("location.hash")

    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)
    page.locator("#connection", has_text="The study runs no longer; once `explore dashboard` shows it").wait_for()
    assert page.locator("#status-word").inner_text() == "finished, connection lost"
    assert sorted(page.evaluate(DRAWN)) == [0, 1, 2, 3]

    start(small_space(n_trials=6), folder)  # while nobody serves
    server = at_terminal(EXPLORE, "dashboard", folder, "--port", port)
    assert server.link(eventually)[0] != link
    page.locator("#connection").wait_for(state="hidden")
    wait_for_trials(page, 6)
    start(small_space(n_trials=8), folder)  # while the page is there again
    wait_for_trials(page, 8)
    page.wait_for_selector("body[data-status=finished]")
    assert sorted(page.evaluate(DRAWN)) == list(range(8))
    assert (page.evaluate(RANGE), page.evaluate("location.hash")) == shown
    assert page.locator("#variant-heading").inner_text() == "Trial 2"
    assert page.asked.count(f"http://127.0.0.1:{port}/static/main.js") == 1  # it was not loaded again
    assert page.errors == []
    assert server.end() == 0


def test_page_that_the_next_server_does_not_know_says_so_and_goes_on_with_the_new_link(
    page, at_terminal, eventually, zoomed, tmp_path
):
    folder, server, _, port = zoomed
    shown = page.evaluate(RANGE), page.evaluate("location.hash")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)
    shutil.rmtree(tmp_path / "cache" / "dashboard")
    server = at_terminal(EXPLORE, "dashboard", folder, "--port", port)
    new_link = server.link(eventually)[0]
    said = page.locator("#connection", has_text="The server was started again and has a new link. Open the link")
    said.wait_for()
    assert sorted(page.evaluate(DRAWN)) == [0, 1, 2, 3]
    other = page.context.new_page()
    other.goto(new_link)
    start(small_space(n_trials=6), folder)
    page.locator("#connection").wait_for(state="hidden")
    wait_for_trials(page, 6)
    assert sorted(page.evaluate(DRAWN)) == list(range(6))
    assert (page.evaluate(RANGE), page.evaluate("location.hash")) == shown
    assert page.errors == []


def wait_for_trials(page, n_trials):
    page.wait_for_selector("body[data-ready=true]")
    page.locator("#table-count", has_text=re.compile(rf"^{n_trials} trials$")).wait_for()


def finished(watch):
    """The trials that the study's own folder has, by now, with a result."""
    return {trial.number for trial in watch.poll().result.trials if trial.state != "failed"}
