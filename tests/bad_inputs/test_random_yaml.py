"""Random texts and random structures through the reader of search spaces: an answer in one sentence, and soon."""

from __future__ import annotations

import json
import re
import string
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.errors import SpaceError
from explorer.space.read import parse_space
from explorer.space.values import SearchSpace
from explorer.space.write import dump_space
from explorer.study.vocabulary import vocabulary

WORDS = vocabulary()
MAX_CHARACTERS = 4000
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What a search space says, and where something else may stand instead.
SPACE: dict[str, Any] = {
    "name": "pets",
    "model": "slimmable_cnn",
    "training": {"recipe": "quick"},
    "recovery": {"steps": 30},
    "data": {"name": "digits", "validation": 300, "calibration": 128},
    "parameters": {
        "width": [0.25, 0.5, 1.0],
        "pruning_ratio": {"min": 0.0, "max": 0.6, "step": 0.1},
        "quantization": ["none", "dynamic_int8", "static_int8"],
        "runtime": ["eager", "onnxruntime"],
        "exit_threshold": [0.5, 1.0],
        "batch_size": 1,
        "threads": 1,
    },
    "objectives": {"accuracy": "maximize", "latency_ms": "minimize"},
    "constraints": ["peak_memory_mib <= 1024", "accuracy >= 0.95 * baseline"],
    "search": {"sampler": "tpe", "trials": 60, "timeout": "20m", "seed": 0},
    "device": {"name": "local", "hardware_usd_per_hour": 0.05},
}
KNOWN = sorted({word for word in json.dumps(SPACE).replace('"', " ").split() if word.isidentifier()})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        [*KNOWN, "unit", "maximise", "shipped", "nets:make", "image_folder", "per_stage", "baseline", "1h", "../x"]
    ),
    st.text(max_size=20),
)
keys = st.one_of(st.sampled_from([*KNOWN, "input", "mean", "std"]), st.text(string.printable, max_size=8))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spaces(draw: st.DrawFn) -> Any:
    """A sound search space in which up to three things are removed, replaced, added or doubled."""
    space = json.loads(json.dumps(SPACE))
    for _ in range(draw(st.integers(1, 3))):
        place = space
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or draw(st.booleans()):
                break
            place = place[key]
        if not isinstance(place, dict | list) or not place:
            continue
        match draw(st.sampled_from(["remove", "replace", "add", "double"])):
            case "remove":
                del place[key]
            case "replace":
                place[key] = draw(values)
            case "double" if isinstance(place, list):
                place.append(place[key])
            case _ if isinstance(place, dict):
                place[draw(keys)] = draw(values)
            case _:
                place.append(draw(values))
    return space


def read(text: str) -> SearchSpace | None:
    """The search space, or None where the text is refused as promised."""
    try:
        return parse_space(text, WORDS, name="random.yaml", max_threads=2)
    except SpaceError as refused:
        first, *rest = str(refused).split("\n")
        assert first.startswith("random.yaml:")
        assert len(rest) <= 3
        assert not CONTROLS.search("".join((first, *rest)))
        return None


@settings(RELAXED, max_examples=150)
@given(st.text(max_size=MAX_CHARACTERS))
def test_read_random_text_is_refused_in_a_sentence(text):
    assert read(text) is None


@settings(RELAXED, max_examples=150)
@given(st.text(alphabet=" \n\t:-[]{},#&*!|>'\"%@`?~.0aé\\<=", max_size=200))
def test_read_random_signs_of_yaml_are_refused_in_a_sentence(text):
    assert read(text) is None


@settings(RELAXED, max_examples=200)
@given(spaces())
def test_read_random_structure_is_a_space_or_refused_in_a_sentence(space):
    """JSON is YAML, but for surrogates, which no file in UTF-8 has."""
    text = json.dumps(space, indent=1, ensure_ascii=False)
    with suppress(UnicodeEncodeError):
        text.encode("utf-8")
        found = read(text)
        if found is not None:
            assert parse_space(dump_space(found), WORDS, max_threads=2) == found


@pytest.mark.parametrize("text", ["{}", "[]", "name: pets\n", json.dumps(SPACE)])
def test_read_what_the_random_ones_are_made_of(text):
    assert (read(text) is not None) == (text == json.dumps(SPACE))
