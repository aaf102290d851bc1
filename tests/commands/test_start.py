"""`explore start` with its dashboard, on a fake evaluator: what is served, when, and that the study never minds."""

import http.client
import json
import os
import re
import shlex
import signal
import threading
from pathlib import Path

import pytest
from fakes import FakeEvaluator, known_metrics

from explorer.commands import dashboard
from explorer.commands import start as command
from explorer.commands.options import StartOptions
from explorer.errors import Interrupted, NotAvailable, NothingFeasible, StudyLocked, UsageError
from explorer.runtimes.onnxruntime import OnnxRuntime
from explorer.study.read import load_result
from explorer.study.store.lock import study_lock
from explorer.views.server import thread
from explorer.views.server.feed import Feed
from explorer.web.addresses import listening

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
LINK = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)")


class Start:
    """Runs the command; `said` is what standard error got so far."""

    def __init__(self, studies, capsys, monkeypatch):
        self.studies, self.said, self.out = studies, "", ""
        self._capsys = capsys
        self._patch = monkeypatch
        monkeypatch.setattr(command, "write_outputs", lambda result: None)

    def __call__(self, before=lambda variant, number: None, metrics=known_metrics, n_trials=3, **options):
        def evaluator(space, folder, data, interrupt, left_out):
            self.left_out = left_out
            return FakeEvaluator(folder, before=before, metrics=metrics)

        self._patch.setattr(command, "MeasuringEvaluator", evaluator)
        values = {"studies": self.studies, "trials": n_trials, "sampler": "random", "no_confirm": True} | options
        try:
            command.start(StartOptions(DIGITS, **values))
        finally:
            self.listen()

    def listen(self):
        out, said = self._capsys.readouterr()
        self.out += out
        self.said += said
        return self.said

    def get(self, path):
        port, token = LINK.search(self.listen()).groups()
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=120)
        connection.request("GET", path, headers={"Cookie": f"explore-{port}={token}"})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found


@pytest.fixture
def start(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    yield Start(tmp_path / "studies", capsys, monkeypatch)
    assert "dashboard" not in [one.name for one in threading.enumerate()]


def test_study_is_served_while_it_runs_and_not_after(start):
    seen = []

    def look(variant, number):
        status, body = start.get("/api/state")
        state = json.loads(body)
        seen.append((status, state["trials"]["number"], state["live"]["running"]["trial"], state["live"]["status"]))

    start(look)
    assert seen == [(200, list(range(n)), n, "running") for n in range(3)]
    assert start.said.count("dashboard: http://127.0.0.1:") == 1
    assert "latency" in start.out
    with pytest.raises(ConnectionRefusedError):
        start.get("/api/state")


def test_runtime_that_is_not_installed_is_left_out_when_asked_to_and_said(start, monkeypatch):
    monkeypatch.setattr(OnnxRuntime, "missing", lambda self: "onnxruntime is not installed")
    start(skip_unavailable=True)
    assert "left out: runtime onnxruntime (onnxruntime is not installed)" in start.said
    assert start.left_out == {"onnxruntime": "onnxruntime is not installed"}
    result = load_result(start.studies / "digits")
    assert result.space.parameters["runtime"].values == ("eager",)
    assert {trial.variant["runtime"] for trial in result.trials} == {"eager"}


def test_start_that_leaves_out_nothing_is_the_study_of_the_file(start):
    start(skip_unavailable=True)
    assert start.left_out == {}
    start(n_trials=4)  # goes on with it
    assert len(load_result(start.studies / "digits").trials) == 4


def test_json_is_alone_on_standard_output(start):
    start(as_json=True)
    assert json.loads(start.out)["study"] == "digits"
    assert LINK.search(start.said)


@pytest.mark.parametrize("options", [{"no_dashboard": True}, {"quiet": True}])
def test_study_that_wants_no_dashboard_has_none(start, monkeypatch, options):
    monkeypatch.setattr(thread, "Server", None)
    start(**options)
    assert "http://" not in start.said
    assert len(load_result(start.studies / "digits").trials) == 3


def test_quiet_study_with_a_port_prints_its_link(start):
    start(port=0, quiet=True)
    assert LINK.search(start.said)
    assert start.out == ""


def test_resumed_study_is_served_whole_from_the_start(start):
    start()
    start.said = ""
    seen = []
    start(lambda variant, number: seen.append(json.loads(start.get("/api/state")[1])), n_trials=4)
    assert seen[0]["trials"]["number"] == [0, 1, 2]
    assert seen[0]["n_trials"] == 4


def test_port_that_was_asked_for_and_is_taken_ends_with_5_before_anything_is_made(start):
    with listening("127.0.0.1", 0, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotAvailable, match=f"port {port} .*--port") as found:
            start(port=port)
    assert found.value.exit_code == 5
    assert not start.studies.exists()


def test_port_and_no_dashboard_contradict_each_other(start):
    with pytest.raises(UsageError, match="--no-dashboard"):
        start(port=8321, no_dashboard=True)


def test_study_without_a_port_to_be_had_runs_all_the_same(start, monkeypatch):
    def refused(*arguments, **options):
        raise thread.NoDashboard("no port today")

    monkeypatch.setattr(thread, "Server", refused)
    start()
    assert "no dashboard: no port today; the study goes on without" in start.said
    assert len(load_result(start.studies / "digits").trials) == 3


def test_study_that_cannot_begin_prints_no_link(start):
    folder = start.studies / "digits"
    folder.mkdir(parents=True)
    with study_lock(folder, lambda note: None), pytest.raises(StudyLocked, match="is held by"):
        start()
    assert "http://" not in start.said


def test_away_from_a_terminal_it_never_waits(start, monkeypatch):
    monkeypatch.setattr(dashboard, "wait", None)
    start()
    assert "until Ctrl-C" not in start.said
    assert len(load_result(start.studies / "digits").trials) == 3


def test_at_a_terminal_it_serves_on_until_ctrl_c(start, monkeypatch):
    answers = []

    def sit_down(sentence):
        answers.append((sentence, json.loads(start.get("/api/state")[1])["live"]["status"]))
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(dashboard, "is_at_terminal", lambda: True)
    monkeypatch.setattr(dashboard, "note", sit_down)
    start()
    ((sentence, status),) = answers
    assert sentence.endswith("until Ctrl-C")
    assert LINK.search(sentence)
    assert status == "finished"


def test_study_with_nothing_feasible_is_shown_too_and_ends_with_3(start, monkeypatch):
    said = []

    def sit_down(sentence):
        said.append(sentence)
        if "Ctrl-C" in sentence:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(dashboard, "is_at_terminal", lambda: True)
    monkeypatch.setattr(dashboard, "note", sit_down)
    with pytest.raises(NothingFeasible) as found:
        start(metrics=lambda variant: known_metrics(variant) | {"peak_memory_mib": 1e6, "accuracy": 0.001})
    assert said[0] == str(found.value)
    assert len(said) == 2


def test_interrupted_study_does_not_wait(start, monkeypatch):
    monkeypatch.setattr(dashboard, "is_at_terminal", lambda: True)
    monkeypatch.setattr(dashboard, "open_browser", lambda link: None)
    monkeypatch.setattr(dashboard, "wait", None)

    def stop(variant, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)

    given = ["explore", "start", str(DIGITS), "--trials", "3", "--studies", str(start.studies), "--no-confirm"]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(Interrupted, match="To go on: explore start") as found:
        start(stop)
    assert shlex.split(str(found.value).partition("To go on: ")[2]) == given


def test_signal_while_an_interrupted_study_closes_takes_no_word_from_its_sentence(start, monkeypatch):
    def before(variant, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)

    close = dashboard.StudyPage.close

    def interrupted(page):
        close(page)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(dashboard.StudyPage, "close", interrupted)
    with pytest.raises(Interrupted, match=r"stopped at once by a second SIGINT.*what was measured is in .* To go on: "):
        start(before)


def test_command_line_that_goes_on_with_a_fork_still_forks(monkeypatch):
    monkeypatch.setattr("sys.argv", ["explore", "start", "a b.yaml", "--name", "old", "--fork", "new", "--json"])
    options = StartOptions(Path("a b.yaml"), name="old", fork="new")
    assert command.to_repeat(options) == "explore start 'a b.yaml' --name old --fork new --json"


def test_study_is_confirmed_at_its_end_and_the_page_is_told(start, monkeypatch):
    digests = []
    told = Feed.on_confirmed

    def on_confirmed(feed, result):
        n_trials = feed.state().version
        before = feed.state().digest(n_trials)
        told(feed, result)
        digests.append((before, feed.state().digest(n_trials), feed.state().result.confirmation is not None))

    monkeypatch.setattr(Feed, "on_confirmed", on_confirmed)
    start(as_json=True, no_confirm=False)
    assert json.loads(start.out)["confirmed"] is True
    assert "confirmed in" in start.said
    ((before, after, has_confirmation),) = digests
    assert before != after
    assert has_confirmation
