import http.client
import json
import socket

import pytest
from serving_stand_ins import NAME, image

from explorer.deploy.serve import requests, server

INFER = f"/v2/models/{NAME}/infer"


def is_hung_up(one):
    """Waits for the end, which is a reset where the server had not read everything."""
    try:
        return read_all(one) == b""
    except ConnectionResetError:
        return True


def read_all(one):
    one.settimeout(60)
    return b"".join(iter(lambda: one.recv(65536), b""))


def test_connections_beyond_the_limit_get_503_and_the_others_go_on(serve, monkeypatch, eventually):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    served = serve()
    client = served.client()
    assert client.ask("/v2")[0] == 200
    crowd = [socket.create_connection(("127.0.0.1", served.port), timeout=60) for _ in range(2)]
    eventually(lambda: len(served.server._web.connections) == 3)
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as one_too_many:
        one_too_many.sendall(b"GET /v2 HTTP/1.1\r\n\r\n" + b"x" * 100_000)
        answer = read_all(one_too_many)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer
    assert b"3 connections are open already" in answer
    assert client.infer(image(1))["exits"] == [1]
    for one in crowd:
        one.close()
    eventually(lambda: len(served.server._web.connections) == 1)
    assert served.client().ask("/v2")[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_connection_that_asks_for_nothing_is_ended(serve, monkeypatch, said):
    monkeypatch.setattr(server, "SWEEP_S", 0.05)
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.05)
    served = serve()
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as silent:
        silent.sendall(said)
        assert is_hung_up(silent)


def test_connection_with_a_request_under_way_is_left_alone(serve, monkeypatch, eventually):
    monkeypatch.setattr(server, "SWEEP_S", 0.02)
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.02)
    served = serve()
    served.script.gate.clear()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    tensor = {"name": "images", "shape": [1, 3, 8, 8], "datatype": "UINT8", "data": [0] * 192}
    connection.request("POST", INFER, json.dumps({"inputs": [tensor]}))
    eventually(lambda: served.script.batches)
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as silent:
        assert is_hung_up(silent)
    served.script.gate.set()
    assert connection.getresponse().status == 200
    connection.close()


def test_body_that_stops_coming_gets_408(serve, monkeypatch):
    monkeypatch.setattr(requests, "_SILENCE_S", 0.05)
    served = serve()
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as slow:
        slow.sendall(
            f"POST {INFER} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 1000\r\n\r\n{{".encode()
        )
        answer = slow.recv(65536)
        while b"}" not in answer:
            answer += slow.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body stopped after 1 bytes" in answer


def test_bodies_that_are_too_much_together_get_503_and_their_room_is_given_back(serve, monkeypatch, eventually):
    monkeypatch.setattr(requests, "_MAX_HELD_BYTES", 100_000)
    served = serve()
    head = f"POST /classify HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 90000\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as slow:
        slow.sendall(head + bytes(80_000))
        client = served.client()
        eventually(lambda: client.ask("/classify", bytes(40_000))[0] == 503)
        status, headers, answer = client.ask("/classify", bytes(40_000))
        assert (status, headers["retry-after"]) == (503, "1")
        assert "holds too many large requests" in answer["error"]
        assert client.infer(image(1))["exits"] == [1]
    eventually(lambda: client.ask("/classify", bytes(90_000))[0] == 415)
    assert served.total("explore_rejected_requests_total", reason="memory") >= 2


def test_requests_that_come_at_once_on_one_connection_are_answered_in_order(served):
    tensor = {"name": "images", "shape": [1, 3, 8, 8], "datatype": "UINT8"}
    sent = b""
    for number in range(5):
        body = json.dumps({"id": str(number), "inputs": [tensor | {"data": [number] + [0] * 191}]}).encode()
        closing = "Connection: close\r\n" if number == 4 else ""
        head = f"POST {INFER} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n{closing}Content-Length: {len(body)}\r\n\r\n"
        sent += head.encode() + body
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as one:
        one.sendall(sent)
        answers = read_all(one)
    assert [answers.index(f'"id":"{number}"'.encode()) for number in range(5)] == sorted(
        answers.index(f'"id":"{number}"'.encode()) for number in range(5)
    )
    assert answers.count(b"HTTP/1.1 200 OK") == 5
