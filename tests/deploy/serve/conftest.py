"""Real servers in this process, with scripted models, and a plain client."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # serving_stand_ins.py is shared by this folder's tests

from serving_stand_ins import NAME, Script, image, model_of

from explorer.deploy.serve.server import ModelServer
from explorer.deploy.serve.workers import Options


class Client:
    """One kept connection. `ask` gives (status, headers, body), the body as JSON where it is that."""

    def __init__(self, port, name=NAME):
        self.name = name
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path, body=None, headers=None, method=None):
        self.connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        answer = self.connection.getresponse()
        content, fields = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        is_json = fields.get("content-type") == "application/json"
        return answer.status, fields, json.loads(content) if is_json else content

    def infer(self, *images, **changes):
        """Asks for the classes of images [3, 8, 8] in JSON; the outputs' data by name, or (status, error)."""
        status, _, answer = self.ask(f"/v2/models/{self.name}/infer", json.dumps(inference_of(*images, **changes)))
        if status != 200:
            return status, answer["error"]
        return {output["name"]: output["data"] for output in answer["outputs"]}

    def infer_binary(self, images):
        """Asks with images uint8 [b, c, h, w] as bytes: logits [b, k], exits [b], and classes, a list."""
        tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8"}
        tensor["parameters"] = {"binary_data_size": images.nbytes}
        wanted = [{"name": name, "parameters": {"binary_data": name != "classes"}} for name in OUTPUTS]
        head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        status, fields, body = self.ask(f"/v2/models/{self.name}/infer", head + images.tobytes(), headers)
        assert status == 200, body
        length = int(fields["inference-header-content-length"])
        logits, exits, classes = json.loads(body[:length])["outputs"]
        n_bytes = logits["parameters"]["binary_data_size"]
        return (
            np.frombuffer(body[length : length + n_bytes], "<f4").reshape(logits["shape"]),
            np.frombuffer(body[length + n_bytes :], "<i8").reshape(exits["shape"]),
            classes["data"],
        )

    def close(self):
        self.connection.close()


OUTPUTS = ("logits", "exits", "classes")


def inference_of(*images, **changes):
    batch = np.stack(images)
    tensor = {"name": "images", "shape": list(batch.shape), "datatype": "UINT8", "data": batch.reshape(-1).tolist()}
    return {"inputs": [tensor]} | changes


class Served:
    """A running server, its script, what it complained of, and clients of it."""

    def __init__(self, script, options, changes):
        self.script = script
        self.faults = []
        self.server = ModelServer(model_of(script, **changes), Options(**options), port=0, on_fault=self.faults.append)
        self.port = self.server.port
        self._clients = []

    def client(self):
        self._clients.append(Client(self.port))
        return self._clients[-1]

    def samples(self):
        """The metrics as Prometheus' own parser reads them: {(name, labels): value}."""
        from prometheus_client.parser import text_string_to_metric_families

        text = self.client().ask("/metrics")[2].decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name, **labels):
        """The sum of a metric's samples that have those labels."""
        return sum(
            value
            for (found, of_sample), value in self.samples().items()
            if found == name and labels.items() <= dict(of_sample).items()
        )

    def close(self):
        self.script.gate.set()
        for client in self._clients:
            client.close()
        self.server.stop()


def starter():
    running = []

    def start(script=None, model=None, **options):
        running.append(Served(script or Script(), options, model or {}))
        return running[-1]

    yield start
    for served in running:
        served.close()


@pytest.fixture
def client_of():
    """Makes clients of any server: `client_of(port, name)`."""
    clients = []

    def make(port, name):
        clients.append(Client(port, name))
        return clients[-1]

    yield make
    for one in clients:
        one.close()


@pytest.fixture
def serve():
    """Starts a server: `serve(script, workers=2, queue=4, model={...})`."""
    yield from starter()


@pytest.fixture(scope="module")
def served_for_long():
    """The same, for all tests of a module."""
    yield from starter()


@pytest.fixture
def served(serve):
    """A server with nothing special about it, which must not complain."""
    one = serve()
    yield one
    assert one.faults == []


@pytest.fixture
def client(served):
    return served.client()


@pytest.fixture
def an_image():
    return image(1, 2, 3, 9, 5, 4)
