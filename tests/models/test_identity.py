"""Descriptions of networks: what enters the fingerprint, and what is said of a difference. Without torch."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from explorer.models.identity import Description, Step, difference, read_description
from explorer.typed_json import to_json

KNOWN = Description(
    tensors={"conv.weight": "parameter float32[8, 1, 3, 3] aa", "conv.bias": "parameter float32[8] bb"},
    shared={},
    layers={"conv": "Conv2d"},
    graph=(Step("aten.relu.default(images)", "act"), Step("aten.mul.Tensor(%1, 0.5)", "scale"), Step("return (%2)")),
    training=(Step("aten.relu.default(images)", "act"),),
)


def steps(*texts: str) -> tuple[Step, ...]:
    return tuple(Step(text) for text in texts)


CHANGES = [
    ({"tensors": {**KNOWN.tensors, "conv.bias": "parameter float32[8] cc"}}, ["conv.bias differs"]),
    (
        {"tensors": {**KNOWN.tensors, "conv.bias": "frozen parameter float32[8] bb"}},
        ["conv.bias was a parameter float32[8] and is a frozen parameter float32[8]"],
    ),
    (
        {"tensors": {"conv.weight": KNOWN.tensors["conv.weight"], "conv.b": "buffer float32[8] bb"}},
        ["conv.bias is gone", "conv.b is new"],
    ),
    (
        {"shared": {"conv.bias": "conv.weight"}},
        ["conv.bias had its own memory, and now shares its memory with conv.weight"],
    ),
    ({"layers": {"conv": "ConvTranspose2d"}}, ["conv was Conv2d and is ConvTranspose2d"]),
    (
        {"graph": (KNOWN.graph[0], Step("aten.mul.Tensor(%1, 0.7)", "scale"), KNOWN.graph[2])},
        ["the graph differs at operation 2, in scale: it was aten.mul.Tensor(%1, 0.5) and is aten.mul.Tensor(%1, 0.7)"],
    ),
    ({"graph": KNOWN.graph[:2]}, ["the graph differs at operation 3: it was return (%2) and is nothing"]),
    (
        {"training": steps("aten.relu_.default(images)")},
        [
            "the graph in training mode differs at operation 1: "
            "it was aten.relu.default(images) and is aten.relu_.default(images)"
        ],
    ),
    (
        {"graph": steps("aten.tanh.default(images)"), "training": steps("aten.tanh.default(images)")},
        ["the graph differs at operation 1: it was aten.relu.default(images) and is aten.tanh.default(images)"],
    ),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_difference_and_fingerprint_follow_every_part(change, words):
    other = replace(KNOWN, **change)

    assert difference(KNOWN, other) == words
    assert other.fingerprint() != KNOWN.fingerprint()


def test_fingerprint_is_the_same_wherever_an_operation_is_written_and_whatever_the_order_of_names():
    moved = tuple(step._replace(module="elsewhere") for step in KNOWN.graph)
    other = replace(KNOWN, graph=moved, tensors=dict(reversed(KNOWN.tensors.items())))

    assert other.fingerprint() == KNOWN.fingerprint()
    assert difference(KNOWN, other) == []


def test_difference_of_many_tensors_names_a_few_and_counts_the_others():
    old, new = (replace(KNOWN, tensors={f"w{n}": f"parameter float32[1] {key}" for n in range(500)}) for key in "ab")

    assert difference(old, new) == ["w0 differs", "w1 differs", "w2 differs", "and 497 more differ"]


def test_difference_of_long_operations_shows_where_they_part():
    old, new = (replace(KNOWN, graph=steps(f"aten.cat.default([{'%1, ' * 90}{end}])")) for end in ("%2", "%3"))
    (words,) = difference(old, new)

    assert "%2])" in words
    assert "%3])" in words
    assert len(words) < 400


def test_networks_whose_graph_is_not_known_are_never_equal():
    one, other = (replace(KNOWN, unknown="it cannot be traced at net.py:8", nonce=nonce) for nonce in ("1", "2"))

    assert one.fingerprint() != other.fingerprint()
    (words,) = difference(one, other)
    assert "nothing shows that it is the same: it cannot be traced at net.py:8" in words


def test_read_description_gives_what_was_written(tmp_path: Path):
    path = tmp_path / "network.json"
    path.write_text(json.dumps(to_json(KNOWN)))

    assert read_description(path) == KNOWN
    assert read_description(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", "[" * 9000, json.dumps({**to_json(KNOWN), "graph": 3}), '{"tensors": [1]}']
)
def test_read_description_of_an_invalid_file_is_none(tmp_path: Path, text: str):
    path = tmp_path / "network.json"
    path.write_text(text)

    assert read_description(path) is None


def test_read_description_does_not_block_and_reads_no_endless_file(tmp_path: Path):
    pipe, large = tmp_path / "pipe.json", tmp_path / "large.json"
    os.mkfifo(pipe)
    with large.open("wb") as file:
        file.truncate(2**40)

    assert read_description(pipe) is None
    assert read_description(large) is None
