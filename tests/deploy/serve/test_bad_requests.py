"""What is wrong with a request is said in one sentence, and the server goes on."""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import zlib

import numpy as np
import pytest
from PIL import Image
from serving_stand_ins import NAME, Script, image

INFER = f"/v2/models/{NAME}/infer"
TENSOR = {"name": "images", "shape": [1, 3, 8, 8], "datatype": "UINT8", "data": [0] * 192}


@pytest.fixture(scope="module")
def robust(served_for_long):
    """One server for all that is wrong: it must be as good afterwards."""
    served = served_for_long(Script())
    yield served
    assert served.faults == []
    assert served.total("explore_inference_failures_total") == 0


@pytest.fixture
def ask(robust):
    """Asks on a connection of its own; then the server must still classify."""
    client = robust.client()
    yield client.ask
    assert robust.client().infer(image(4, 2))["exits"] == [1]


def changed(**changes):
    tensor = TENSOR | changes
    return {"inputs": [{key: value for key, value in tensor.items() if value is not None}]}


def binary(size, **changes):
    return changed(data=None, parameters={"binary_data_size": size}, **changes)


REQUESTS = {
    "no JSON": (b"{", "the request is not JSON"),
    "no UTF-8": (b'{"inputs": "\xff"}', "the request is not JSON.*utf-8"),
    "empty": (b"", "the request is not JSON"),
    "a list": ([], "expected a JSON object, got a list"),
    "a number": (7, "expected a JSON object, got 7"),
    "NaN": (b'{"inputs": [NaN]}', "NaN is no number in JSON"),
    "infinity": (b'{"inputs": [-Infinity]}', "-Infinity is no number in JSON"),
    "deep": (b'{"inputs": ' + b"[" * 20_000, "nested too deeply"),
    "thousands of digits": (b'{"inputs": ' + b"9" * 5_000 + b"}", "the request is not JSON"),
    "no inputs": ({}, 'the request needs "inputs", a list; got none'),
    "inputs no list": ({"inputs": {}}, 'needs "inputs", a list; got an object'),
    "no input": ({"inputs": []}, 'expected one input, "images"; got 0'),
    "two inputs": ({"inputs": [TENSOR, TENSOR]}, "expected one input.*got 2"),
    "input no object": ({"inputs": [3]}, "an input must be an object, got 3"),
    "no name": (changed(name=None), 'needs "name", a string; got none'),
    "name no string": (changed(name=3), 'needs "name", a string; got 3'),
    "other name": (changed(name="image"), 'there is no input "image": expected "images"'),
    "long name": (changed(name="x" * 10_000), 'there is no input "x{59}…'),
    "no datatype": (changed(datatype=None), 'needs "datatype", a string'),
    "other datatype": (changed(datatype="FP32"), 'has the datatype "FP32": expected UINT8, integers from 0 to 255'),
    "no shape": (changed(shape=None), 'needs "shape", a list; got none'),
    "shape of strings": (changed(shape=["1", 3, 8, 8]), r'has the shape \["1", 3, 8, 8\]: expected \[b, 3, 8, 8\]'),
    "shape of floats": (changed(shape=[1.0, 3, 8, 8]), r"has the shape \[1.0, 3, 8, 8\]"),
    "shape with true": (changed(shape=[True, 3, 8, 8]), r"has the shape \[true, 3"),
    "negative shape": (changed(shape=[-1, 3, 8, 8]), r"has the shape \[-1, 3, 8, 8\]"),
    "other shape": (changed(shape=[1, 8, 8, 3]), r"has the shape \[1, 8, 8, 3\]"),
    "no batch": (changed(shape=[3, 8, 8]), r"has the shape \[3, 8, 8\]"),
    "endless shape": (changed(shape=[1] * 1_000), r"has the shape \[1, 1, 1, 1, 1, 1, 1, 1, …\]"),
    "no images": (changed(shape=[0, 3, 8, 8], data=[]), "has 0 images: expected .* with b from 1 to 256"),
    "too many images": (binary(257 * 192, shape=[257, 3, 8, 8]), "has 257 images: .*send more in several requests"),
    "huge shape": (binary(0, shape=[2**62, 3, 8, 8]), "images: expected"),
    "no data": (changed(data=None), 'needs "data", a list; got none'),
    "data no list": (changed(data="AAAA"), 'needs "data", a list; got "AAAA"'),
    "too few values": (changed(data=[0] * 191), "has 191 values: expected 192 for its shape"),
    "too many values": (changed(data=[0] * 193), "has 193 values: expected 192"),
    "no values": (changed(data=[]), "has 0 values: expected 192"),
    "negative value": (changed(data=[-1] + [0] * 191), "must be integers from 0 to 255, got -1"),
    "large value": (changed(data=[0] * 191 + [256]), "must be integers from 0 to 255, got 256"),
    "huge value": (changed(data=[0] * 191 + [10**30]), "must be integers from 0 to 255, got 1000"),
    "float value": (changed(data=[0.5] + [0] * 191), "must be integers from 0 to 255, got 0.5"),
    "string value": (changed(data=["7"] + [0] * 191), 'must be integers from 0 to 255, got "7"'),
    "true value": (changed(data=[True] + [0] * 191), "must be integers from 0 to 255, got true"),
    "null value": (changed(data=[None] + [0] * 191), "must be integers from 0 to 255, got null"),
    "object value": (changed(data=[{}] + [0] * 191), "must be integers from 0 to 255, got an object"),
    "list among values": (changed(data=[0] * 191 + [[0]]), "must be integers from 0 to 255, got a list"),
    "nested otherwise": (changed(data=[[0] * 192]), "are not nested as its shape"),
    "nested unevenly": (changed(data=[[[[0] * 8] * 8, [[0] * 8] * 8, [[0] * 8] * 7 + [[0] * 9]]]), "are not nested as"),
    "nested deeper": (changed(data=[[[[[0]] * 8] * 8] * 3]), "must be integers from 0 to 255, got a list"),
    "nested twice": (changed(data=[[[[0] * 8] * 8] * 3] * 2), "has 384 values: expected 192"),
    "parameters no object": (changed(parameters=[]), '"parameters" of the input "images" must be an object'),
    "shared memory": (changed(parameters={"shared_memory_region": "r"}), "shared_memory_region.*does not know"),
    "a sequence": ({**changed(), "parameters": {"sequence_id": 3}}, '"sequence_id", which this server does not know'),
    "id no string": ({**changed(), "id": 3}, 'the request needs "id", a string; got 3'),
    "outputs no list": ({**changed(), "outputs": "logits"}, 'needs "outputs", a list; got "logits"'),
    "other output": (
        {**changed(), "outputs": [{"name": "x"}]},
        'no output "x": expected some of logits, exits, classes',
    ),
    "output twice": ({**changed(), "outputs": [{"name": "exits"}] * 2}, 'the output "exits" is asked for twice'),
    "flag no flag": ({**changed(), "parameters": {"binary_data_output": 1}}, "must be true or false, got 1"),
    "size without bytes": (binary(192), "binary_data_size of 192, but 0 bytes follow the JSON"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_that_is_wrong_gets_400_with_the_reason(ask, name):
    body, words = REQUESTS[name]
    status, headers, answer = ask(INFER, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert list(answer) == ["error"]
    assert "Traceback" not in answer["error"]
    assert len(answer["error"]) < 400
    assert re.search(words, answer["error"]), answer


@pytest.mark.parametrize(
    ("length", "size", "n_bytes", "words"),
    [
        ("json", 192, 191, "has a binary_data_size of 192, but 191 bytes follow the JSON"),
        ("json", 192, 193, "has a binary_data_size of 192, but 193 bytes follow the JSON"),
        ("json", 191, 191, "brings 191 bytes: expected 192 for its shape"),
        ("json", -1, 192, "has a binary_data_size of -1"),
        ("json", 192.0, 192, "has a binary_data_size of 192.0"),
        ("json", True, 1, "has a binary_data_size of true"),
        ("json", "192", 192, 'has a binary_data_size of "192"'),
        ("9999", 192, 192, 'Inference-Header-Content-Length is "9999": expected how many of the body'),
        ("-1", 192, 192, "Inference-Header-Content-Length is"),
        ("", 192, 192, "Inference-Header-Content-Length is"),
        ("abc", 192, 192, "Inference-Header-Content-Length is"),
        ("9" * 5_000, 192, 192, "Inference-Header-Content-Length is"),
        ("10", 192, 192, "the request is not JSON"),
        ("0", 192, 192, "the request is not JSON"),
    ],
)
def test_binary_sizes_that_do_not_fit_get_400(ask, length, size, n_bytes, words):
    head = json.dumps(binary(size)).encode()
    length = str(len(head)) if length == "json" else length
    status, _, answer = ask(INFER, head + bytes(n_bytes), {"Inference-Header-Content-Length": length})
    assert status == 400
    assert words in answer["error"]


def test_bytes_that_nothing_announced_get_400(ask):
    head = json.dumps(changed()).encode()
    status, _, answer = ask(INFER, head + bytes(8), {"Inference-Header-Content-Length": str(len(head))})
    assert (status, "8 bytes follow the JSON" in answer["error"]) == (400, True)
    both = json.dumps(changed(parameters={"binary_data_size": 192})).encode()
    status, _, answer = ask(INFER, both + bytes(192), {"Inference-Header-Content-Length": str(len(both))})
    assert (status, "both data and a binary_data_size" in answer["error"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", INFER, 405, "takes no GET: expected POST"),
        ("PUT", INFER, 405, "takes no PUT"),
        ("DELETE", f"/v2/models/{NAME}", 405, "takes no DELETE"),
        ("POST", "/v2", 405, "takes no POST"),
        ("GET", "/classify", 405, "expected POST"),
        ("GET", "/nowhere", 404, "there is nothing at"),
        ("GET", "/v2/", 404, "there is nothing at"),
        ("GET", "/page/../app.py", 404, "there is nothing at"),
        ("GET", "/page/..%2Fapp.py", 404, "there is nothing at"),
        ("GET", "/page/index.html", 404, "there is nothing at"),
        ("GET", "/" + "x" * 9_000, 404, "there is nothing at"),
        ("GET", "/v2/models/other", 404, f'there is no model "other" here: this server has {NAME}'),
        ("GET", "/v2/models/other/ready", 404, "there is no model"),
        ("POST", "/v2/models/other/infer", 404, "there is no model"),
        ("POST", f"/v2/models/{NAME}/versions/2/infer", 404, 'has no version "2": expected 1'),
        ("GET", f"/v2/models/{NAME}/versions/2", 404, 'has no version "2"'),
        ("GET", f"/v2/models/{NAME}/versions/one/ready", 404, 'has no version "one"'),
        ("POST", "/v2/repository/index", 404, "there is nothing at"),
    ],
)
def test_place_or_method_that_there_is_not_gets_404_or_405(ask, method, path, status, words):
    found, headers, answer = ask(path, json.dumps(changed()).encode() if method == "POST" else None, method=method)
    assert found == status
    assert words in answer["error"]
    assert ("allow" in headers) == (status == 405)


def test_body_of_a_gigabyte_is_refused_before_it_is_sent(robust):
    for path in (INFER, "/classify"):
        with socket.create_connection(("127.0.0.1", robust.port), timeout=60) as one:
            one.sendall(
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{robust.port}\r\nContent-Length: {2**30}\r\n\r\n".encode()
            )
            answer = one.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_client_that_waits_to_be_told_to_go_on_is_refused_at_once_and_let_go(robust):
    fields = [f"Host: 127.0.0.1:{robust.port}", f"Content-Length: {2**30}", "Expect: 100-continue"]
    head = "\r\n".join(["POST /classify HTTP/1.1", *fields, "", ""])
    with socket.create_connection(("127.0.0.1", robust.port), timeout=60) as one:
        one.sendall(head.encode())
        answer = b"".join(iter(lambda: one.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_body_in_endless_chunks_is_refused_when_it_gets_too_long(ask):
    def chunks():
        for _ in range(2_000):
            yield b" " * 65536

    status, _, answer = ask(INFER, chunks())  # framed by http.client
    assert (status, "is longer than" in answer["error"]) == (413, True)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_body_that_unpacks_to_too_much_is_refused(ask, encoding):
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    status, _, answer = ask(INFER, pack(bytes(64 * 2**20)), {"Content-Encoding": encoding})
    assert (status, "decompresses to more than" in answer["error"]) == (413, True)


@pytest.mark.parametrize(
    ("encoding", "body", "status", "words"),
    [
        ("br", b"x", 415, 'compressed with "br": expected gzip, deflate or none'),
        ("gzip, gzip", b"x", 415, "expected gzip"),
        ("gzip", b"not gzip", 400, "does not decompress as gzip"),
        ("gzip", gzip.compress(b"{}" * 100, mtime=0)[:-9], 400, "it is cut short"),
        ("gzip", gzip.compress(b"{}", mtime=0) * 2, 400, "more follows its end"),
        ("deflate", b"", 400, "it is cut short"),
    ],
)
def test_compression_that_is_wrong_is_refused(ask, encoding, body, status, words):
    found, _, answer = ask(INFER, body, {"Content-Encoding": encoding})
    assert found == status
    assert words in answer["error"]


def test_body_that_is_cut_short_is_refused(robust):
    host = f"Host: 127.0.0.1:{robust.port}\r\n"
    for framing, sent in (("Content-Length: 1000", b"{" * 10), ("Transfer-Encoding: chunked", b"5\r\n{{{{{\r\n")):
        with socket.create_connection(("127.0.0.1", robust.port), timeout=60) as one:
            one.sendall(f"POST {INFER} HTTP/1.1\r\n{host}{framing}\r\n\r\n".encode() + sent)
            one.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: one.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"the body was cut short after" in answer


def encoded(form, size=(8, 8), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()


def png_of(width, height):
    """A small file that says it is that large."""
    whole = bytearray(encoded("PNG"))
    whole[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    whole[29:33] = zlib.crc32(bytes(whole[12:29])).to_bytes(4, "big")
    return bytes(whole)


FILES = {
    "nothing": (b"", 400, "no image came"),
    "text": (b"hello", 415, "this is not an image file: expected JPEG, PNG"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "is not an image file"),
    "TIFF": (encoded("TIFF"), 415, "is not an image file"),
    "cut JPEG": (encoded("JPEG", (64, 64))[:-200], 415, "is damaged or cut short"),
    "cut PNG": (encoded("PNG", (64, 64))[:60], 415, "is damaged or cut short"),
    "16 bits": (encoded("PNG", mode="I;16"), 415, "has more than eight bits a channel (I;16)"),
    "bomb": (png_of(30_000, 30_000), 413, "has more than 33,554,432 pixels: make it smaller first"),
    "large": (png_of(6_000, 6_000), 413, "has more than 33,554,432 pixels"),
    "wide bomb": (png_of(2**31 - 1, 1), 413, "pixels"),
    "large file": (bytes(17 * 2**20), 413, "is longer than 16,777,216 bytes"),
}


@pytest.mark.parametrize("name", FILES)
def test_file_that_is_no_image_is_refused(ask, name):
    body, status, words = FILES[name]
    found, headers, answer = ask("/classify", body)
    assert found == status, answer
    assert words in answer["error"]
    assert "0x" not in answer["error"]
    assert headers["content-type"] == "application/json"


def form(*parts, boundary="x"):
    lines = [f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + body for head, body in parts]
    return b"\r\n".join([*lines, f"--{boundary}--\r\n".encode()])


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("multipart/form-data", form(('name="image"; filename="a.png"', encoded("PNG"))), "Missing boundary"),
        ("multipart/form-data; boundary=x", b"nonsense", "the multipart form does not read"),
        ("multipart/form-data; boundary=x", b"", "got none"),
        (
            "multipart/form-data; boundary=x",
            form(('name="image"', b"text")),
            "expected one file in the multipart form, got none",
        ),
        ("multipart/form-data; boundary=x", form(*[('name="i"; filename="a"', encoded("PNG"))] * 2), "Too many files"),
        ("multipart/form-data; boundary=x", form(*[('name="i"', b"")] * 50), "Too many fields"),
        ("multipart/form-data; boundary=x", form(('name="i"', bytes(2**21))), "Part exceeded maximum size"),
        ("multipart/form-data; boundary=x", form(('filename="a.png"', encoded("PNG"))), '"name" must be provided'),
        ("multipart/form-data; boundary=x", form(('name="i"; filename="a"', b"")), "no image came"),
        ("multipart/form-data; boundary=x", form(('name="i"; filename="a"', encoded("PNG")))[:60], "got none"),
    ],
)
def test_form_that_is_wrong_gets_400(ask, content_type, body, words):
    status, _, answer = ask("/classify", body, {"Content-Type": content_type})
    assert status == 400, answer
    assert words in answer["error"]


@pytest.mark.parametrize(
    "lines",
    [
        ["GET /v2 HTTP/1.1"],
        ["GET /v2 HTTP/1.0"],
        ["GET /v2 HTTP/1.1", "Host: evil.example"],
        ["GET /v2 HTTP/1.1", "Host: {host}", "Host: {host}"],
        ["GET http://evil.example/v2 HTTP/1.1", "Host: evil.example"],
        ["CONNECT evil.example:443 HTTP/1.1", "Host: {host}"],
        ["BREW / HTTP/1.1", "Host: {host}"],
        ["POST /classify HTTP/1.1", "Host: {host}", "Content-Length: -5"],
        ["POST /classify HTTP/1.1", "Host: {host}", "Content-Length: 99999999999999999999999999"],
        ["POST /classify HTTP/1.1", "Host: {host}", "Content-Length: 3", "Transfer-Encoding: chunked"],
        ["POST /classify HTTP/1.1", "Host: {host}", "Transfer-Encoding: chunked", "", "zz\r\n"],
        ["GET /v2 HTTP/1.1", "Host: {host}", "Broken"],
        ["\x00\x01"],
    ],
)
def test_bytes_that_are_no_request_of_ours_get_400_or_403_as_json(robust, lines):
    text = "\r\n".join([line.format(host=f"127.0.0.1:{robust.port}") for line in lines] + ["", ""])
    with socket.create_connection(("127.0.0.1", robust.port), timeout=60) as one:
        one.sendall(text.encode())
        one.settimeout(60)
        answer = one.recv(65536)
        while b"}" not in answer:
            answer += one.recv(65536)
    assert answer.split(b" ")[1] in (b"400", b"403")
    assert list(json.loads(answer.partition(b"\r\n\r\n")[2])) == ["error"]
    assert robust.client().infer(image(3))["exits"] == [0]


def test_heads_without_end_are_cut_off(robust):
    head = f"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1:{robust.port}\r\n".encode()
    with socket.create_connection(("127.0.0.1", robust.port), timeout=60) as one:
        one.sendall(head)
        try:
            for index in range(10_000):
                one.sendall(f"X-{index}: {'y' * 4_000}\r\n".encode())
        except OSError:
            return  # hung up on, as it should be
    pytest.fail("40 MB of headers were taken")


def test_image_that_torch_would_get_is_writable(robust):
    """torch warns of arrays that it might write to and must not."""
    client = robust.client()
    client.infer(image(1))
    head = json.dumps(binary(192)).encode()
    client.ask(INFER, head + bytes(192), {"Inference-Header-Content-Length": str(len(head))})
    client.ask("/classify", encoded("PNG"))
    assert all(batch.flags.writeable and batch.flags.c_contiguous for batch in robust.script.batches[-3:])
    assert {batch.dtype for batch in robust.script.batches} == {np.dtype(np.uint8)}
