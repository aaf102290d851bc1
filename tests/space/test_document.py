import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from explorer.errors import SpaceError
from explorer.space.document import MAX_DEPTH, MAX_NODES, parse_document
from explorer.space.source import Source


def parse(text: str) -> Any:
    return parse_document(Source("a.yaml", text)).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("none", "none"),
        ("null", None),
        ("true", True),
        ("7", 7),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-1.5E+2", -150.0),
        ("2026-11-20", "2026-11-20"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ('"1"', "1"),
        ("'x'", "x"),
    ],
)
def test_parse_document_reads_scalars_by_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = parse(f"a: [{text}]")["a"][0]
    assert (found, type(found)) == (value, type(value))


def test_parse_document_has_the_position_of_every_value() -> None:
    root = parse_document(Source("a.yaml", "a:\n  - 1\n  - {b: 2}\n"))
    assert root.value == {"a": [1, {"b": 2}]}
    assert root.position(("a", 1, "b")) == (3, 9)
    assert root.position(("a", 1, "b"), is_key=True) == (3, 6)
    assert root.position(("a",), is_key=True) == (1, 1)
    assert root.position(("a", 1, "absent", "c")) == (3, 5)


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n", "---\n", "~"])
def test_parse_document_of_empty_text_suggests_init(text: str) -> None:
    with pytest.raises(SpaceError, match=r"a\.yaml:1:1: the search space is empty; 'explore init NAME'"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "line", "column", "sentence"),
    [
        ("a:\n\tb: 1\n", 2, 1, "a tab cannot stand here"),
        ("a:\n  b: 1\n\tc: 2\n", 3, 1, "a tab cannot stand here"),
        ("a: [1, 2\nb: 3\n", 2, 2, "this is not YAML: expected ',' or ']'"),
        ("a: 'x\n", 2, 1, "this is not YAML: found unexpected end of stream"),
        ("a: b: c\n", 1, 5, "this is not YAML: mapping values are not allowed"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "the key 'a' is here twice; the first is on line 1"),
        ("x:\n  a: 1\n  'a': 3\n", 3, 3, "the key 'a' is here twice; the first is on line 2"),
        ("a: &x 1\nb: *x\n", 1, 4, "anchors"),
        ("a: *x\n", 1, 4, "anchors"),
        ("a: !thing 1\n", 1, 4, "tags are not permitted"),
        ("a: !!str 1\n", 1, 4, "tags are not permitted"),
        ("a: ! 1\n", 1, 4, "tags are not permitted"),
        ("a: !!set {b, c}\n", 1, 4, "tags are not permitted"),
        ("a: !h!x 1\n", 1, 4, "this is not YAML: found undefined tag handle"),
        ("a: 1\n---\nb: 2\n", 2, 1, "one YAML document; a second one begins here"),
        ("%YAML 1.1\n---\na: yes\n", 1, 1, "directives"),
        ("%YAML 9.9\n---\na: yes\n", 1, 1, "this is not YAML"),
        ("1: 2\n", 1, 1, "a key is text"),
        ("? [a]\n: 2\n", 1, 3, "a key is text, not a list or a mapping"),
        ("{a: 1, {b: 2}: 3}\n", 1, 8, "a key is text, not a list or a mapping"),
        (": 1\n", 1, 1, "a key is text"),
        ("a: 1\nb: .nan\n", 2, 4, "expected a finite number, got .nan"),
        ("a: [1, -.INF]\n", 1, 8, "expected a finite number, got -.INF"),
        ("a: 1e999\n", 1, 4, "expected a finite number"),
        ("a: 9007199254740993\n", 1, 4, "expected a number up to"),
        ("a: " + "9" * 5000 + "\n", 1, 4, "expected a number up to"),
        ('a: "x\\0y"\n', 1, 4, "characters that do not print"),
        ('a: "x\\ud800y"\n', 1, 4, "characters that do not print"),
        ("a: |\n  x\n  y\n", 1, 4, "line breaks"),
        ('a: "\\UFFFFFFFF"\n', 1, 2, "an escape for a character that does not exist"),
    ],
)
def test_parse_document_of_what_is_not_permitted_points_at_it(text: str, line: int, column: int, sentence: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"a.yaml:{line}:{column}: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [
        "!!python/object/apply:os.system ['touch {canary}']",
        "!!python/object/new:os.system ['touch {canary}']",
        "!!python/name:os.system",
        "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {canary}']",
    ],
)
def test_parse_document_of_a_python_tag_executes_nothing(tmp_path: Path, payload: str) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(SpaceError, match=r"a\.yaml:2:7: tags are not permitted"):
        parse(f"name: x\ndata: {payload.format(canary=canary)}\n")
    assert not canary.exists()


def test_parse_document_of_an_alias_bomb_stops_at_the_first_anchor() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    with pytest.raises(SpaceError, match=r"a\.yaml:1:5: anchors"):
        parse("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 10_000 + "]" * 10_000,
        "{a: " * 10_000,
        "- " * 10_000 + "x",
        "? " * 10_000,
        "\n".join(" " * i + "a:" for i in range(500)),
    ],
)
def test_parse_document_of_deep_nesting_is_refused_soon(text: str) -> None:
    tracemalloc.start()
    with pytest.raises(SpaceError, match=f"nested at most {MAX_DEPTH} deep|a key is text"):
        parse(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_parse_document_of_very_many_values_is_refused() -> None:
    with pytest.raises(SpaceError, match=f"at most {MAX_NODES} values"):
        parse("a: [" + "1," * (MAX_NODES + 1) + "]")


def test_parse_document_reads_numbers_exactly() -> None:
    assert parse("a: 0.1")["a"] == 0.1
    assert math.copysign(1, parse("a: -0.0")["a"]) == -1
