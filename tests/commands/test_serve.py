"""`explore serve`: a real process, with a scripted model, as it is started, used and ended."""

import http.client
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from explorer.commands import serve as command
from explorer.commands.serve import serve
from explorer.commands.serving import Address
from explorer.errors import Interrupted, NotAvailable, UsageError, VerificationFailed
from explorer.system import cores, environment
from explorer.web.addresses import listening

STAND_INS = Path(__file__).parents[1] / "deploy" / "serve"
sys.path.insert(0, str(STAND_INS))
stand_ins = importlib.import_module("serving_stand_ins")
NAME, manifest_of = stand_ins.NAME, stand_ins.manifest_of
INFER = f"/v2/models/{NAME}/infer"

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {stand_ins!r})
from serving_stand_ins import FakeBundle, Script, manifest_of
from explorer.commands import serve as command
command.read_bundle = lambda folder: FakeBundle(folder, Script(delay_s=0.01), manifest_of())
command.serve(Path("bundle"), command.Address(port={port}), {workers}, 64, 1, 0.0)
"""


class Running:
    """The command in its own process; `opening` is the line that it prints."""

    def __init__(self, port=0, workers=2):
        program = PROGRAM.format(stand_ins=str(STAND_INS), port=port, workers=workers)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.opening = self.process.stderr.readline()
        found = re.search(r": http://127\.0\.0\.1:(\d+) ", self.opening)
        assert found, self.opening
        self.port = int(found[1])

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def end(self):
        """Waits for the end: (exit code, standard output, the rest of standard error)."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def run():
    running = []

    def start(**options):
        running.append(Running(**options))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def request(number):
    data = [number % 256, number // 256 % 256] + [0] * 190
    return json.dumps({"inputs": [{"name": "images", "shape": [1, 3, 8, 8], "datatype": "UINT8", "data": data}]})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_load_answers_what_was_accepted_and_ends_with_0(run, number):
    running = run()
    assert running.opening.startswith(f"{NAME}: http://127.0.0.1:")
    is_busy = threading.Barrier(21)

    def ask(place):
        connection = running.connection()
        n_answered = 0
        for turn in range(100_000):
            value = place * 1_000 + turn % 1_000
            connection.request("POST", INFER, request(value))
            answer = connection.getresponse()
            assert answer.status == 200
            assert json.load(answer)["outputs"][0]["data"][:2] == [value % 256, value // 256 % 256]
            n_answered += 1
            if turn == 2:
                is_busy.wait(60)
            if answer.getheader("connection") == "close":
                break
        connection.close()
        return n_answered

    with ThreadPoolExecutor(20) as crowd:
        asked = [crowd.submit(ask, place) for place in range(20)]
        is_busy.wait(60)
        running.process.send_signal(number)
        n_answered = sum(one.result() for one in asked)
    code, out, err = running.end()
    assert (code, out) == (0, "")
    # One blank image warmed the model up, and is not counted.
    assert err == f"stopped: requests {n_answered} (refused 0, failed 0, abandoned 0), images classified {n_answered}\n"


def test_command_says_nothing_of_single_requests(run):
    running = run()
    connection = running.connection()
    for path, body in ((INFER, request(1)), (INFER, "{"), ("/nowhere", ""), ("/classify", "no image")):
        connection.request("POST", path, body)
        connection.getresponse().read()
    connection.close()
    running.process.send_signal(signal.SIGTERM)
    code, out, err = running.end()
    assert (code, out, err) == (
        0,
        "",
        "stopped: requests 4 (refused 3, failed 0, abandoned 0), images classified 1\n",
    )


@pytest.fixture
def fake_bundle(monkeypatch, tmp_path):
    """What the command reads, in this process; `serve_with` are its other arguments."""
    bundle = stand_ins.FakeBundle(tmp_path, stand_ins.Script(), manifest_of())
    monkeypatch.setattr(command, "read_bundle", lambda folder: bundle)
    return bundle


def serve_with(**changes):
    values = {"address": Address(port=0), "workers": None, "queue": 64, "max_batch": 1, "max_delay_ms": 0.0}
    serve(Path("bundle"), **(values | changes))


def test_host_that_others_reach_needs_allow_remote(fake_bundle):
    with pytest.raises(UsageError, match=r"--host 0\.0\.0\.0 opens the model to other machines.*--allow-remote"):
        serve_with(address=Address("0.0.0.0", 0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"workers": 0}, "--workers 0"), ({"queue": 0}, "--queue 0"), ({"max_delay_ms": -1.0}, "--max-delay-ms -1")],
)
def test_options_that_cannot_be_are_refused(fake_bundle, changes, words):
    with pytest.raises(UsageError, match=words):
        serve_with(**changes)


def test_micro_batches_of_a_model_that_depends_on_neighbors_are_refused(fake_bundle):
    fake_bundle.manifest = manifest_of(quantization="dynamic_int8", is_batch_invariant=False)
    with pytest.raises(UsageError, match="--max-batch 2: the logits of an image depend on its batch"):
        serve_with(max_batch=2)


def test_taken_port_ends_with_5(fake_bundle):
    with listening("127.0.0.1", 0, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotAvailable, match=f"port {port} ") as found:
            serve_with(address=Address(port=port))
    assert found.value.exit_code == 5


def test_model_that_does_not_load_ends_with_4(fake_bundle, monkeypatch):
    def broken(threads=None):
        raise RuntimeError("not a model")

    monkeypatch.setattr(fake_bundle, "executor", broken, raising=False)
    with pytest.raises(VerificationFailed, match=r"cannot be loaded.*not a model") as found:
        serve_with()
    assert found.value.exit_code == 4


@pytest.mark.parametrize(
    ("int8_range", "instructions", "words"),
    [
        ("full range", ["avx2"], "products may saturate and accuracy may be lower"),
        ("reduced range", ["avx2", "avx512_vnni"], "full range would be possible"),
        ("full range", ["avx2", "avx512_vnni"], None),
    ],
)
def test_int8_weights_for_other_processors_are_said_to_be(fake_bundle, monkeypatch, int8_range, instructions, words):
    fake_bundle.manifest = manifest_of(quantization="static_int8", int8_range=int8_range)
    monkeypatch.setattr(environment, "processor", lambda: {"instructions": instructions})
    warning = command._int8_warning(fake_bundle)
    assert (warning is None) == (words is None)
    assert words is None or (warning.startswith(f"{NAME}: its int8 weights") and words in warning)


@pytest.mark.parametrize(("threads", "n_cores", "expected"), [(1, 2, 2), (2, 5, 2), (4, 2, 1)])
def test_workers_are_as_many_as_the_cores_have_room_for(fake_bundle, monkeypatch, capsys, threads, n_cores, expected):
    made = []

    class Server:
        address, is_running = "http://127.0.0.1:1", True

        def __init__(self, model, options, host, port, on_fault):
            made.append(options.workers)
            self.metrics = self

        def sentence(self):
            return "nothing"

        def stop(self):
            made.append("stopped")

    fake_bundle.manifest = manifest_of(threads=threads)
    monkeypatch.setattr(cores, "available", lambda: list(range(n_cores)))
    monkeypatch.setattr(command, "ModelServer", Server)
    monkeypatch.setattr(command, "wait", lambda interrupt, seconds: True)
    serve_with()
    assert made == [expected, "stopped"]
    assert capsys.readouterr().err == f"{NAME}: http://127.0.0.1:1 (Ctrl-C ends it)\nstopped: nothing\n"


def test_second_signal_ends_it_at_once_and_names_what_serves_again(fake_bundle, monkeypatch):
    class Server:
        address, is_running = "http://127.0.0.1:1", True

        def __init__(self, model, options, host, port, on_fault):
            self.metrics = self

        def sentence(self):
            return "nothing"

        def stop(self):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(command, "ModelServer", Server)
    monkeypatch.setattr(command, "wait", lambda interrupt, seconds: True)
    monkeypatch.setattr("sys.argv", ["explore", "serve", "bundle"])
    with pytest.raises(Interrupted, match=r"^stopped at once by a second signal; .*To serve again: explore serve "):
        serve_with()
