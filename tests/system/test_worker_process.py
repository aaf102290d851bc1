"""Children that answer, crash, hang and flood; and children whose parent dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from explorer.errors import Interrupted
from explorer.system.worker_process import WorkerFailed, WorkerProcess

ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
}


def child(stop=None) -> WorkerProcess:
    return WorkerProcess("faulty_child", stop, ENVIRONMENT)


def test_ask_returns_progress_and_result_and_can_be_repeated():
    seen = []
    with child() as it:
        assert it.ask({"mode": "well"}, {"": 30}, seen.append) == {"value": 1}
        assert it.ask({"mode": "well"}, {"": 30}) == {"value": 1}
        assert seen == [{"stage": "half"}]
        assert it.is_alive
    assert not it.is_alive


def test_worker_detects_a_stop_and_continuation_before_its_first_check():
    with child() as it:
        it.process.send_signal(signal.SIGSTOP)
        it.process.send_signal(signal.SIGCONT)
        assert it.ask({"mode": "was stopped"}, {"": 30}) == {"value": True}
    with child() as it:
        assert it.ask({"mode": "was stopped"}, {"": 30}) == {"value": False}
    assert signal.SIGCONT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ask_reported_failure_leaves_the_child_usable():
    with child() as it:
        with pytest.raises(WorkerFailed, match="its reason") as failed:
            it.ask({"mode": "says failure"}, {"": 30})
        assert failed.value.kind == "its kind"
        assert it.ask({"mode": "well"}, {"": 30}) == {"value": 1}


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("segfault", "signal SIGSEGV"),
        ("abort", "signal SIGABRT"),
        ("killed", "signal SIGKILL"),
        ("exit 0", "no result"),
        ("hang", "timeout in work"),
        ("not json", "bad result"),
        ("not an object", "bad result"),
        ("unknown answer", "bad result"),
        ("endless", "bad result"),
        ("breaks off", "bad result"),
        ("deep", "bad result"),
        ("stale answers", "timeout in work"),
        ("signal without a name", f"signal {signal.SIGRTMIN + 5}"),
    ],
)
def test_ask_faulty_child_is_a_failure_with_its_kind_and_no_process_left(mode, kind, monkeypatch):
    monkeypatch.setattr("explorer.system.worker_process._TERMINATE_S", 0.3)
    with child() as it:
        with pytest.raises(WorkerFailed) as failed:
            it.ask({"mode": mode}, {"": 30, "work": 1.0})
        assert failed.value.kind == kind
        assert failed.value.reason
        assert not it.is_alive
        assert not psutil.pid_exists(it.process.pid)


def test_ask_second_answer_is_not_that_of_the_next_request():
    with child() as it:
        assert it.ask({"mode": "answers twice"}, {"": 30}) == {"value": 4}
        assert it.ask({"mode": "well"}, {"": 30}) == {"value": 1}


def test_child_that_cannot_be_started_is_a_failure(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(WorkerFailed, match=r"the system starts no further process: .*No such file"):
        child()


def test_ask_crashing_child_keeps_its_last_words():
    with child() as it, pytest.raises(WorkerFailed) as failed:
        it.ask({"mode": "segfault"}, {"": 30})
    assert "last words" in failed.value.log


def test_ask_flood_of_output_is_bounded_and_keeps_the_end():
    with child() as it:
        assert it.ask({"mode": "noisy"}, {"": 30}) == {"value": 2}
        assert len(it.log) <= 16 * 2**10
        assert it.log.endswith("the end")


def test_ask_child_that_closes_its_output_costs_no_processor_time():
    with child() as it:
        before = time.process_time()
        assert it.ask({"mode": "closes output"}, {"": 30}) == {"value": 3}
        assert time.process_time() - before < 0.2


def test_close_descendants_in_sessions_of_their_own_are_ended():
    with child() as it:
        pid = it.ask({"mode": "leaves a child"}, {"": 30})["pid"]
        assert psutil.pid_exists(pid)
    gone = not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert gone


def test_ask_cores_are_taken_and_the_group_is_its_own():
    core = min(os.sched_getaffinity(0))
    with child() as it:
        facts = it.ask({"mode": "where", "cores": [core]}, {"": 30})
    assert facts["cores"] == [core]
    assert facts["group"] == facts["pid"] != os.getpgid(0)


def test_ask_interrupted_raises_and_ends_the_child():
    reading, writing = socket.socketpair()

    class Stop:
        is_asked = False

        def fileno(self) -> int:
            return reading.fileno()

        def check(self) -> None:
            if self.is_asked:
                raise Interrupted("asked to stop")

    stop = Stop()
    with reading, writing:
        with child(stop) as it:
            it.ask({"mode": "well"}, {"": 30})
            signal.signal(signal.SIGALRM, lambda *_: (setattr(stop, "is_asked", True), writing.send(b"!")))
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Interrupted, match="asked to stop"):
                it.ask({"mode": "hang"}, {"": 30})
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert not it.is_alive


def test_child_killed_parent_takes_it_along():
    code = (
        "import os, signal, sys\n"
        "from explorer.system.worker_process import WorkerProcess\n"
        "it = WorkerProcess('faulty_child')\n"
        "it.ask({'mode': 'well'}, {'': 30})\n"
        "print(it.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    pid = int(parent.stdout)
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    else:
        pytest.fail(f"process {pid} outlived its parent")
