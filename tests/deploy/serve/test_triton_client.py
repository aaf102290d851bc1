"""The protocol, as a client speaks it that was written for another server: Triton's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from serving_stand_ins import CLASSES, NAME, image

from explorer import __version__

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    triton = pytest.importorskip("tritonclient.http")
    from tritonclient.utils import InferenceServerException


@pytest.fixture
def triton_client(served):
    client = triton.InferenceServerClient(f"127.0.0.1:{served.port}", network_timeout=60.0)
    yield client
    client.close()
    client.close = lambda: None  # its finalizer closes it again, in whatever thread collects the garbage


def tensor(images, is_binary=True):
    made = triton.InferInput("images", list(images.shape), "UINT8")
    made.set_data_from_numpy(images, binary_data=is_binary)
    return made


@pytest.fixture
def batch():
    return np.stack([image(1, 2, 3, 9, 5, 4), image(200, 0, 250), image(0, 0, 0, 0, 0, 7)])


def check(result):
    assert result.as_numpy("logits").tolist() == [[1, 2, 3, 9, 5, 4], [200, 0, 250, 0, 0, 0], [0, 0, 0, 0, 0, 7]]
    assert result.as_numpy("logits").dtype == np.float32
    assert result.as_numpy("exits").tolist() == [1, 2, 0]
    assert result.as_numpy("exits").dtype == np.int64
    names = [name if isinstance(name, str) else name.decode() for name in result.as_numpy("classes")]
    assert names == ["döe", "cat", "fox"]


def test_triton_client_finds_server_and_model_alive_and_ready(triton_client):
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready(NAME)
    assert triton_client.is_model_ready(NAME, "1")
    assert not triton_client.is_model_ready(NAME, "2")
    assert not triton_client.is_model_ready("other")


def test_triton_client_reads_the_metadata(triton_client):
    server = triton_client.get_server_metadata()
    assert server == {"name": "explore", "version": __version__, "extensions": ["binary_tensor_data"]}
    metadata = triton_client.get_model_metadata(NAME)
    assert metadata == triton_client.get_model_metadata(NAME, "1")
    assert (metadata["name"], metadata["versions"], metadata["platform"]) == (NAME, ["1"], "scripted_py")
    assert metadata["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 3, 8, 8]}]
    assert metadata["outputs"] == [
        {"name": "logits", "datatype": "FP32", "shape": [-1, len(CLASSES)]},
        {"name": "exits", "datatype": "INT64", "shape": [-1]},
        {"name": "classes", "datatype": "BYTES", "shape": [-1]},
    ]


@pytest.mark.parametrize("version", ["", "1"])
@pytest.mark.parametrize("is_binary", [True, False])
def test_triton_client_infers_with_binary_and_json_inputs(triton_client, batch, version, is_binary):
    check(triton_client.infer(NAME, [tensor(batch, is_binary)], model_version=version))


@pytest.mark.parametrize("is_binary", [True, False])
def test_triton_client_gets_the_outputs_that_it_asks_for_in_their_order(triton_client, batch, is_binary):
    asked = [triton.InferRequestedOutput(name, binary_data=is_binary) for name in ("classes", "logits", "exits")]
    result = triton_client.infer(NAME, [tensor(batch)], outputs=asked, request_id="seven")
    check(result)
    answer = result.get_response()
    assert [output["name"] for output in answer["outputs"]] == ["classes", "logits", "exits"]
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("seven", NAME, "1")
    only = triton_client.infer(NAME, [tensor(batch)], outputs=asked[2:]).get_response()
    assert [output["name"] for output in only["outputs"]] == ["exits"]


def test_triton_client_mixes_binary_and_json_outputs(triton_client, batch):
    asked = [triton.InferRequestedOutput(name, binary_data=name != "exits") for name in ("logits", "exits", "classes")]
    result = triton_client.infer(NAME, [tensor(batch)], outputs=asked)
    check(result)
    assert result.get_output("exits")["data"] == [1, 2, 0]
    assert "data" not in result.get_output("logits")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("is_binary", [True, False])
def test_triton_client_may_compress_what_it_sends(triton_client, batch, algorithm, is_binary):
    options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
    check(triton_client.infer(NAME, [tensor(batch, is_binary)], **options))


def test_triton_client_may_send_what_else_it_knows(triton_client, batch):
    check(triton_client.infer(NAME, [tensor(batch)], priority=3, timeout=5_000_000, parameters={"mine": "x"}))


def test_triton_client_that_asks_for_classification_is_told_what_there_is(triton_client, batch):
    asked = [triton.InferRequestedOutput("logits", class_count=2)]
    with pytest.raises(InferenceServerException, match='the parameter "classification", which this server does not'):
        triton_client.infer(NAME, [tensor(batch)], outputs=asked)


def test_triton_client_reads_the_sentence_of_a_refusal(triton_client, batch):
    with pytest.raises(InferenceServerException, match=rf"\[404\] there is no model \"other\" here.*{NAME}"):
        triton_client.infer("other", [tensor(batch)])
    with pytest.raises(
        InferenceServerException, match=r"\[400\].* has the shape \[3, 3, 8, 4\]: expected \[b, 3, 8, 8\]"
    ):
        triton_client.infer(NAME, [tensor(batch[..., :4])])


def test_triton_client_infers_in_the_background(triton_client, batch):
    handles = [triton_client.async_infer(NAME, [tensor(batch)]) for _ in range(8)]
    for handle in handles:
        check(handle.get_result())
