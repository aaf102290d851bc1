"""A model of another task than classification is served by the same routes."""

import json

import numpy as np
import pytest
from heights import Heights

from explorer.tasks.task import TensorSpec

INPUT, OUTPUT = TensorSpec("places", "float32", (4,)), TensorSpec("heights", "float32", (3,))


def run(inputs):
    return inputs[:, :3] * 2, np.zeros(len(inputs), dtype=np.int64)


@pytest.fixture
def client(serve):
    model = {
        "name": "hills",
        "task": Heights(),
        "facts": {},
        "input": INPUT,
        "output": OUTPUT,
        "run": run,
        "n_exits": 1,
    }
    return serve(model=model).client()


def test_metadata_has_no_labels(client):
    _, _, found = client.ask("/v2/models/hills")
    assert found["inputs"] == [{"name": "places", "datatype": "FP32", "shape": [-1, 4]}]
    assert [(one["name"], one["datatype"], one["shape"]) for one in found["outputs"]] == [
        ("heights", "FP32", [-1, 3]),
        ("exits", "INT64", [-1]),
    ]


def infer(client, data, **changes):
    tensor = {"name": "places", "shape": [1, 4], "datatype": "FP32", "data": data, **changes}
    return client.ask("/v2/models/hills/infer", json.dumps({"inputs": [tensor]}))


def test_numbers_are_inferred_as_they_are(client):
    status, _, found = infer(client, [1, 2.5, -3e2, 4])
    assert status == 200
    assert found["outputs"][0]["data"] == [2.0, 5.0, -600.0]


@pytest.mark.parametrize("data", [["4"], [1e999], [10**400], [True], [1e39]])
def test_what_is_no_finite_number_is_refused(client, data):
    status, _, found = infer(client, [1, 2, 3, *data])
    assert status == 400
    assert 'the data of "places" must be finite numbers' in found["error"] or "not JSON" in found["error"]


def test_file_goes_to_the_tasks_own_path_and_gets_its_answer(client):
    status, _, found = client.ask("/answer", "1 2 3 4")
    assert status == 200
    assert (found["answer"], found["exit"], found["n_exits"]) == ({"heights": [2.0, 4.0, 6.0]}, 0, 1)
    assert client.ask("/answer", "one two")[::2] == (415, {"error": "expected four numbers"})
    status, _, found = client.ask("/classify", "1 2 3 4")
    assert (status, "goes to /answer by POST" in found["error"]) == (404, True)


def test_page_and_metrics_name_its_examples(client):
    _, _, page = client.ask("/")
    assert b'data-path="/answer"' in page
    assert b"sends sites with JavaScript" in page
    client.ask("/answer", "1 2 3 4")
    _, _, text = client.ask("/metrics")
    assert b"explore_batch_images_sum 1.0" in text
