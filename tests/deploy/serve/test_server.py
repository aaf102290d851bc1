"""A running server: load, a full queue, failures, clients that go, micro-batches, and the end."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import uvicorn
from serving_stand_ins import NAME, Script, image, model_of

from explorer.deploy.serve.server import ModelServer
from explorer.deploy.serve.workers import Options
from explorer.errors import ExplorerError, UsageError
from explorer.web.addresses import NoPort

N_CLIENTS = 50
INFER = f"/v2/models/{NAME}/infer"


def numbered(number):
    """An image that is like no other, and the exit that it takes."""
    return image(number % 256, number // 256 % 256, number // 65536)


def expected(number):
    return [float(number % 256), float(number // 256 % 256), float(number // 65536), 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "options", [{"workers": 1}, {"workers": 3}, {"workers": 2, "max_batch": 8, "max_delay_ms": 2.0}]
)
def test_fifty_clients_get_each_the_answers_to_their_own_images(serve, options):
    served = serve(queue=N_CLIENTS, **options)
    n_each = 20

    def ask(place):
        client = served.client()
        sizes = random.Random(place)
        n_images = 0
        for turn in range(n_each):
            numbers = [place * 10_000 + turn * 10 + offset for offset in range(sizes.randint(1, 4))]
            request_id = f"{place}-{turn}"
            status, _, answer = client.ask(INFER, json.dumps(request(numbers, request_id)))
            assert (status, answer["id"]) == (200, request_id)
            made = {output["name"]: output["data"] for output in answer["outputs"]}
            assert np.reshape(made["logits"], (len(numbers), 6)).tolist() == [expected(n) for n in numbers]
            assert made["exits"] == [n % 256 % 3 for n in numbers]
            n_images += len(numbers)
        return n_images

    with ThreadPoolExecutor(N_CLIENTS) as crowd:
        n_images = sum(crowd.map(ask, range(N_CLIENTS)))
    assert served.script.n_images == n_images
    seen = np.concatenate(served.script.batches).reshape(n_images, -1)[:, :3].astype(int)
    assert len({tuple(row) for row in seen.tolist()}) == n_images
    samples = served.samples()
    assert served.total("explore_exits_total") == n_images
    assert served.total("explore_batch_images_sum") == n_images
    assert served.total("explore_batch_images_count") == len(served.script.batches)
    assert (
        samples["explore_requests_total", (("route", "/v2/models/{name}/infer"), ("status", "200"))]
        == N_CLIENTS * n_each
    )
    assert served.faults == []
    if "max_batch" in options:
        assert max(len(batch) for batch in served.script.batches) <= 8
        assert len(served.script.batches) < N_CLIENTS * n_each


def request(numbers, request_id="x"):
    batch = np.stack([numbered(number) for number in numbers])
    tensor = {"name": "images", "shape": list(batch.shape), "datatype": "UINT8", "data": batch.reshape(-1).tolist()}
    return {"id": request_id, "inputs": [tensor]}


def test_full_queue_refuses_with_503_and_when_to_come_back(serve, eventually):
    served = serve(workers=1, queue=2)
    served.script.gate.clear()
    with ThreadPoolExecutor(3) as crowd:
        asked = [crowd.submit(served.client().infer, numbered(1))]
        eventually(lambda: served.script.batches)  # one is being classified
        asked += [crowd.submit(served.client().infer, numbered(n)) for n in (2, 3)]
        eventually(lambda: served.total("explore_queue_length") == 2)
        for _ in range(3):
            status, headers, answer = served.client().ask(INFER, json.dumps(request([4])))
            assert status == 503
            assert 1 <= int(headers["retry-after"]) <= 60
            assert "the queue is full (2): try again later" in answer["error"]
        status, headers, _ = served.client().ask("/classify", b"not looked at")
        assert (status, "retry-after" in headers) == (503, True)
        assert served.client().ask("/v2/health/ready")[0] == 200
        served.script.gate.set()
        assert [one.result()["exits"] for one in asked] == [[1], [2], [0]]
    assert served.client().infer(numbered(5))["exits"] == [2]
    assert served.total("explore_rejected_requests_total", reason="queue") == 4
    assert served.total("explore_requests_total", status="503") == 4
    assert served.total("explore_queue_length") == 0
    assert served.script.n_images == 4


def test_failure_of_the_model_is_one_500_and_the_worker_lives_on(serve):
    def fail(images):
        if images[0, 0, 0, 0] == 13:
            raise RuntimeError("out of\nluck")

    served = serve(Script(fail), workers=1)
    client = served.client()
    for _ in range(3):
        status, error = client.infer(numbered(13))
        assert status == 500
        assert "the model failed on this request; the server goes on" in error
        assert "luck" not in error
        assert client.infer(numbered(2))["exits"] == [2]
    assert served.faults == ["the model failed on a request: RuntimeError: out of luck"]
    assert served.total("explore_inference_failures_total") == 3
    assert served.total("explore_requests_total", status="500") == 3


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda n: (np.full((n, 6), np.nan, np.float32), np.zeros(n, np.int64)), "the logits are not finite numbers"),
        (
            lambda n: (np.zeros((n, 5), np.float32), np.zeros(n, np.int64)),
            "expected logits of shape [1, 6], got [1, 5]",
        ),
        (lambda n: (np.zeros((n, 6), np.float32), np.full(n, 3)), "expected 1 exits from 0 to 2, got [3]"),
    ],
)
def test_outputs_that_are_not_the_models_are_a_failure(serve, made, words):
    served = serve(model={"run": lambda images: made(len(images))})
    assert served.client().infer(numbered(1))[0] == 500
    assert served.faults == [f"the model failed on a request: ValueError: {words}"]


def test_failure_in_a_micro_batch_reaches_everybody_in_it(serve, eventually):
    def fail(images):
        if len(images) > 1:
            raise MemoryError

    served = serve(Script(fail), workers=1, max_batch=4)
    served.script.gate.clear()
    with ThreadPoolExecutor(4) as crowd:
        first = crowd.submit(served.client().infer, numbered(0))
        eventually(lambda: served.script.batches)
        rest = [crowd.submit(served.client().infer, numbered(n)) for n in (1, 2, 3)]
        eventually(lambda: served.total("explore_queue_length") == 3)
        served.script.gate.set()
        assert first.result()["exits"] == [0]
        assert [one.result()[0] for one in rest] == [500] * 3
    assert [len(batch) for batch in served.script.batches] == [1, 3]
    assert served.faults == ["the model failed on a request: MemoryError:"]


def test_work_of_a_client_that_has_gone_is_dropped_if_not_begun(serve, eventually):
    served = serve(workers=1)
    served.script.gate.clear()
    with ThreadPoolExecutor(2) as crowd:
        first = crowd.submit(served.client().infer, numbered(1))
        eventually(lambda: served.script.batches)
        body = json.dumps(request([7]))
        head = f"POST {INFER} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", served.port)) as gone:
            gone.sendall((head + body).encode())
            eventually(lambda: served.total("explore_queue_length") == 1)
        eventually(lambda: served.total("explore_queue_length") == 0)
        last = crowd.submit(served.client().infer, numbered(2))
        eventually(lambda: served.total("explore_queue_length") == 1)
        served.script.gate.set()
        assert first.result()["exits"] == [1]
        assert last.result()["exits"] == [2]
    assert [int(batch[0, 0, 0, 0]) for batch in served.script.batches] == [1, 2]
    assert served.total("explore_requests_total", status="499") == 1
    assert served.faults == []


def test_client_that_goes_while_its_image_is_classified_harms_nobody(serve, eventually):
    served = serve(workers=1)
    served.script.gate.clear()
    body = json.dumps(request([7]))
    head = f"POST {INFER} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port)) as gone:
        gone.sendall((head + body).encode())
        eventually(lambda: served.script.batches)
    eventually(lambda: served.total("explore_requests_total", status="499") == 1)
    served.script.gate.set()
    assert served.client().infer(numbered(2))["exits"] == [2]
    assert served.faults == []


def test_micro_batches_hold_what_waits_up_to_their_size(serve, eventually):
    served = serve(workers=1, max_batch=4, queue=20)
    served.script.gate.clear()
    with ThreadPoolExecutor(12) as crowd:
        asked = [crowd.submit(served.client().infer, numbered(0))]
        eventually(lambda: served.script.batches)
        for n in range(1, 8):
            asked.append(crowd.submit(served.client().infer, numbered(n)))
            eventually(lambda n=n: served.total("explore_queue_length") == n)
        asked.append(crowd.submit(served.client().infer, *map(numbered, range(8, 14))))  # more than a batch holds
        eventually(lambda: served.total("explore_queue_length") == 8)
        served.script.gate.set()
        exits = [one.result()["exits"] for one in asked]
    assert exits == [[n % 3] for n in range(8)] + [[n % 3 for n in range(8, 14)]]
    assert [len(batch) for batch in served.script.batches] == [1, 4, 3, 6]


def test_micro_batch_waits_for_company_and_then_goes(serve):
    served = serve(workers=2, max_batch=2, max_delay_ms=10_000.0)
    with ThreadPoolExecutor(2) as crowd:
        exits = [one.result() for one in [crowd.submit(served.client().infer, numbered(n)) for n in (1, 2)]]
    assert sorted(made["exits"] for made in exits) == [[1], [2]]
    assert [len(batch) for batch in served.script.batches] == [2]
    alone = serve(workers=1, max_batch=2, max_delay_ms=1.0)
    assert alone.client().infer(numbered(4))["exits"] == [1]


def test_micro_batch_leaves_out_a_client_that_went_while_it_waited(serve, eventually):
    served = serve(workers=1, max_batch=2, max_delay_ms=10_000.0)
    body = json.dumps(request([7]))
    head = f"POST {INFER} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port)) as gone:
        gone.sendall((head + body).encode())
        eventually(lambda: served.server._state.n_open == 1 and not served.server._workers._waiting)
    eventually(lambda: served.total("explore_requests_total", status="499") == 1)
    assert served.client().infer(numbered(2))["exits"] == [2]
    assert [int(batch[0, 0, 0, 0]) for batch in served.script.batches] == [2]


def test_micro_batches_of_a_model_whose_logits_depend_on_neighbors_are_refused():
    model = model_of(Script(), is_batch_invariant=False)
    with pytest.raises(UsageError, match=f"--max-batch 4: the logits of an image depend on its batch in {NAME}"):
        ModelServer(model, Options(max_batch=4), port=0)


def test_port_that_is_taken_is_refused(served):
    with pytest.raises(NoPort, match=f"port {served.port} of 127.0.0.1 is not available"):
        ModelServer(model_of(Script()), Options(), port=served.port)


def test_server_that_listens_everywhere_is_opened_at_loopback(serve):
    server = ModelServer(model_of(Script()), Options(), "0.0.0.0", 0)
    try:
        assert server.address == f"http://127.0.0.1:{server.port}"
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/v2/health/live", headers={"Host": f"{socket.gethostname()}:{server.port}"})
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        server.stop()


def test_stop_answers_what_was_accepted_and_takes_no_more(serve, eventually):
    served = serve(workers=2, queue=40)
    served.script.gate.clear()
    idle = served.client()
    assert idle.ask("/v2/health/ready")[0] == 200
    with ThreadPoolExecutor(21) as crowd:
        asked = [crowd.submit(served.client().ask, INFER, json.dumps(request([n]))) for n in range(20)]
        eventually(lambda: len(served.script.batches) == 2 and served.total("explore_queue_length") == 18)
        stopping = crowd.submit(served.server.stop)
        eventually(lambda: is_refused(served.port))
        status, headers, answer = idle.ask("/v2/health/ready")
        assert (status, answer["error"], headers["connection"]) == (503, "the server is stopping", "close")
        assert not stopping.done()
        served.script.gate.set()
        for n, one in enumerate(asked):
            status, headers, answer = one.result()
            assert (status, headers["connection"]) == (200, "close")
            assert answer["outputs"][0]["data"] == expected(n)
        stopping.result()
    served.server.stop()  # again
    assert not served.server.is_running
    assert not [one.name for one in threading.enumerate() if one.name.startswith(("model-server", "worker-"))]


def is_refused(port):
    """Whether nobody takes a connection: the port is closed, or was closed while this one still waited in its queue."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def test_stop_under_load_loses_no_answer(serve):
    """Clients that keep their connections: each goes on until it is told that its connection ends."""
    served = serve(Script(delay_s=0.002), workers=2, queue=100)
    is_busy = threading.Barrier(21)

    def ask(place):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        n_answered = 0
        for turn in range(100_000):
            number = place * 1_000 + turn % 1_000
            try:
                connection.request("POST", INFER, json.dumps(request([number])))
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                break  # it was idle for too long while the server stopped, which took no request of it any more
            assert answer.status == 200
            assert json.load(answer)["outputs"][0]["data"] == expected(number)
            n_answered += 1
            if turn == 4:
                is_busy.wait(60)
            if answer.getheader("connection") == "close":
                break
        connection.close()
        return n_answered

    with ThreadPoolExecutor(20) as crowd:
        asked = [crowd.submit(ask, place) for place in range(20)]
        is_busy.wait(60)
        served.server.stop()
        n_answered = sum(one.result() for one in asked)
    assert served.script.n_images == n_answered
    assert served.server.metrics.sentence() == (
        f"requests {n_answered} (refused 0, failed 0, abandoned 0), images classified {n_answered}"
    )


def test_stop_after_the_grace_time_says_what_was_lost(eventually):
    script = Script()
    script.gate.clear()
    server = ModelServer(model_of(script), Options(), port=0)

    def ask(number):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        try:
            connection.request("POST", INFER, json.dumps(request([number])))
            return connection.getresponse().status
        finally:
            connection.close()

    try:
        with ThreadPoolExecutor(3) as crowd:
            asked = [crowd.submit(ask, n) for n in range(3)]
            eventually(lambda: b"explore_queue_length 2.0" in server.metrics.text() and script.batches)
            with pytest.raises(
                ExplorerError, match=r"^requests that were not answered within 0.1 s, and are lost: 3$"
            ) as found:
                server.stop(0.1)
            assert all(isinstance(one.exception(), http.client.HTTPException | OSError) for one in asked)
    finally:
        script.gate.set()
    assert found.value.exit_code == 1
    assert not server.is_running


def test_server_whose_thread_dies_says_so(serve, monkeypatch):
    async def serve_badly(self, sockets=None):
        raise OSError("no file descriptors")

    monkeypatch.setattr(uvicorn.Server, "serve", serve_badly)
    served = serve()
    served.server._web._thread.join(60)
    assert not served.server.is_running
    assert served.faults == ["the server has stopped: OSError: no file descriptors"]
