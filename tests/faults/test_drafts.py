"""What is half-written when a study is asked to stop, or is killed, does not stay."""

from __future__ import annotations

import http.server
import os
import signal
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from fakes import FakeEvaluator, small_space, start

from explorer.errors import Interrupted
from explorer.records import Variant
from explorer.space.values import DataSettings
from explorer.study.read import load_result
from explorer.system.files import remove_old_drafts, scratch_folder
from explorer.system.hashing import cache_root
from explorer.system.worker_process import WorkerProcess

DAY_S = 86_400.0
FIXTURES = Path(__file__).parent / "fixtures"


def make_draft(path: Path, age_s: float) -> Path:
    path.mkdir(parents=True)
    (path / "segment_0.onnx").write_bytes(b"half")
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_study_interrupted_while_the_builder_writes_leaves_no_draft(tmp_path):
    def write(variant: Variant, number: int) -> None:
        if number == 2:
            make_draft(tmp_path / "artifacts" / ".0123.abcdefgh.tmp", age_s=0.0)
            raise Interrupted("interrupted by SIGINT")

    with pytest.raises(Interrupted, match="SIGINT"):
        start(small_space(n_trials=4), tmp_path, FakeEvaluator(tmp_path, before=write))
    assert list(tmp_path.rglob(".*")) == []
    assert len(load_result(tmp_path).trials) == 2


@pytest.mark.parametrize("journal", [b"", bytes(512)], ids=["empty", "without its head"])
def test_study_killed_before_its_journal_had_a_head_leaves_none_though_it_is_interrupted_at_once(tmp_path, journal):
    class Interrupting(FakeEvaluator):
        def prepare(self, on_progress):
            raise Interrupted("interrupted by SIGHUP")

    before = start(small_space(n_trials=2), tmp_path).trials
    (tmp_path / "study.db-journal").write_bytes(journal)
    with pytest.raises(Interrupted, match="SIGHUP"):
        start(small_space(n_trials=4), tmp_path, Interrupting(tmp_path))
    assert not (tmp_path / "study.db-journal").exists()
    assert load_result(tmp_path).trials == before


def test_study_whose_builder_dies_while_it_writes_ends_without_its_draft(tmp_path):
    def write(variant: Variant, number: int) -> None:
        if number == 1:
            make_draft(tmp_path / "artifacts" / ".0123.abcdefgh.tmp", age_s=0.0)

    start(small_space(n_trials=3), tmp_path, FakeEvaluator(tmp_path, before=write))
    assert list(tmp_path.rglob(".*")) == []


def test_study_closes_its_evaluator_before_it_looks_for_drafts(tmp_path, monkeypatch):
    """A builder that still runs could go on writing."""
    evaluator, made = FakeEvaluator(tmp_path), []
    draft = tmp_path / "artifacts" / ".last.abcdefgh.tmp"
    monkeypatch.setattr(evaluator, "close", lambda: made.append(make_draft(draft, age_s=0.0)))
    start(small_space(n_trials=2), tmp_path, evaluator)
    assert made == [draft]
    assert not draft.exists()


def test_start_removes_old_drafts_of_the_cache_and_keeps_what_others_are_writing(tmp_path):
    old = make_draft(cache_root() / "models" / ".0123.abcdefgh.tmp", age_s=2 * DAY_S)
    young = make_draft(cache_root() / "models" / ".4567.abcdefgh.tmp", age_s=DAY_S / 2)
    logits = cache_root() / "logits" / ".0123.npz.abcdefgh.tmp"
    logits.parent.mkdir()
    logits.write_bytes(b"half")
    os.utime(logits, (time.time() - 2 * DAY_S, time.time() - 2 * DAY_S))
    unpacked = make_draft(cache_root() / "data" / "format-1" / ".unpack.abcdefgh.tmp", age_s=2 * DAY_S)
    graph = cache_root() / "exports" / "0123" / ".network.onnx.abcdefgh.tmp"
    graph.parent.mkdir(parents=True)
    graph.write_bytes(b"half")
    os.utime(graph, (time.time() - 2 * DAY_S, time.time() - 2 * DAY_S))
    whole = make_draft(cache_root() / "models" / "0123", age_s=2 * DAY_S)
    start(small_space(n_trials=1), tmp_path / "study")
    assert (old.exists(), young.exists(), logits.exists(), whole.exists()) == (False, True, False, True)
    assert (unpacked.exists(), graph.exists(), graph.parent.exists()) == (False, False, True)


def test_remove_old_drafts_without_a_cache_does_nothing(tmp_path):
    remove_old_drafts(tmp_path / "no cache")
    assert list(tmp_path.iterdir()) == []


def test_start_removes_old_scratch_folders_of_ours_and_nothing_else(tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    old = make_draft(place / ".explorer.abcdefgh.tmp", age_s=2 * DAY_S)
    others = make_draft(place / ".others.abcdefgh.tmp", age_s=2 * DAY_S)
    with scratch_folder() as young:
        start(small_space(n_trials=1), tmp_path / "study")
        assert (old.exists(), others.exists(), Path(young).is_dir()) == (False, True, True)
    assert list(place.iterdir()) == [others]


class Stalling(http.server.BaseHTTPRequestHandler):
    """Sends a part of a large file, and then nothing until the server is let go."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(bytes(300_000))
        self.server.is_over.wait()  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        server.is_over = threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield f"http://127.0.0.1:{server.server_port}/cifar.tar.gz"
        server.is_over.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("request_of", "stage"), [("prepare", "download"), ("build", "export")])
def test_builder_that_is_interrupted_takes_away_what_it_was_writing(tmp_path, url, request_of, stage):
    """As Ctrl-C ends it: the coordinator, which alone hears of it, tells the builder with SIGTERM."""
    request = {
        "op": request_of,
        "data": asdict(DataSettings("cifar10", 5000, 512)),
        "task": "classification",
        "root": str(tmp_path / "data"),
        "folder": str(tmp_path / "models" / "0123"),
    }
    left = []

    def interrupt(values):
        if values["stage"] == stage:
            left.extend(path.name for path in tmp_path.rglob(".*.tmp"))
            raise Interrupted("interrupted by SIGINT")

    places = os.pathsep.join([str(FIXTURES), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"SLOW_URL": url, "PYTHONPATH": places}
    with WorkerProcess("slow_builder", environment=environment) as child, pytest.raises(Interrupted):
        child.ask(request, {"": 60.0}, interrupt)
    assert child.process.returncode == 128 + signal.SIGTERM
    assert len(left) == 1
    assert list(tmp_path.rglob(".*.tmp")) == []
    assert not (tmp_path / "data").exists()
