"""Parse YAML text to a tree of plain values with their positions. Nothing in it is ever executed.

A search space may use mappings with text keys, lists, and scalars of YAML 1.2's core schema (§10.3.2), in one
document. Tags, anchors, aliases and directives are refused, so that nothing can run or multiply.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from explorer.errors import SpaceError
from explorer.space.refusal import Place, quoted
from explorer.space.source import Source

MAX_DEPTH = 20
MAX_NODES = 8_000

_LARGEST_INT = 2**53
"""Beyond it, a whole number and its float may differ."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Node:
    """A value, where it begins and ends, its child nodes, and the positions of its keys."""

    begin: tuple[int, int]
    end: tuple[int, int]
    value: Any
    children: Mapping[str | int, Node] = field(default_factory=dict)
    keys: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def find(self, at: Place) -> Node:
        """Return the node at `at`, or the last one on the way to it."""
        node = self
        for step in at:
            if step not in node.children:
                return node
            node = node.children[step]
        return node

    def position(self, at: Place, is_key: bool = False) -> tuple[int, int]:
        """Return line and column of the value at `at`, or of its key."""
        if is_key and at:
            return self.find(at[:-1]).keys.get(str(at[-1]), self.find(at).begin)
        return self.find(at).begin


@dataclass(slots=True)
class _Collection:
    """A list or mapping under construction."""

    begin: tuple[int, int]
    is_mapping: bool
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    key: str | None = None

    def node(self, end: tuple[int, int]) -> Node:
        value: Any = {key: child.value for key, child in self.children.items()}
        return Node(self.begin, end, value if self.is_mapping else list(value.values()), self.children, self.keys)


def parse_document(source: Source) -> Node:
    """Return the root of the text. Raises SpaceError for text that is not YAML, or not of the permitted subset."""
    root: Node | None = None
    open_collections: list[_Collection] = []
    n_nodes = 0
    for event in _events(source):
        _refuse_unwanted(source, event, has_root=root is not None)
        n_nodes += isinstance(event, NodeEvent)
        begin = _position(event.start_mark)
        if n_nodes > MAX_NODES:
            raise source.error(*begin, f"a search space has at most {MAX_NODES} values and keys; shorten it")
        if isinstance(event, CollectionStartEvent):
            if len(open_collections) == MAX_DEPTH:
                raise source.error(*begin, f"a search space is nested at most {MAX_DEPTH} deep; this goes deeper")
            if open_collections and open_collections[-1].is_mapping and open_collections[-1].key is None:
                raise source.error(*begin, "a key is text, not a list or a mapping")
            open_collections.append(_Collection(begin, isinstance(event, MappingStartEvent)))
            continue
        if isinstance(event, CollectionEndEvent):
            node = open_collections.pop().node(begin)
        elif isinstance(event, ScalarEvent):
            node = Node(begin, _position(event.end_mark), _scalar(source, event))
        else:
            continue
        if open_collections:
            _add(source, open_collections[-1], node)
        else:
            root = node
    if root is None or root.value is None:
        raise source.error(1, 1, "the search space is empty; 'explore init NAME' writes one to start from")
    return root


def _events(source: Source) -> Iterator[Event]:
    """Yield the parser's events one by one, so that an error comes before the rest is parsed."""
    position = (1, 1)
    try:
        for event in YAML(typ="safe", pure=True).parse(source.text):
            position = _position(event.end_mark)
            yield event
    except MarkedYAMLError as error:
        raise _not_yaml(source, error) from None
    except (ValueError, OverflowError):  # an escape such as "\UFFFFFFFF", which ruamel.yaml hands to chr()
        raise source.error(*position, "what follows has an escape for a character that does not exist") from None


def _not_yaml(source: Source, error: MarkedYAMLError) -> SpaceError:
    mark = error.problem_mark or error.context_mark
    line, column = _position(mark) if mark else (1, 1)
    text = source.lines[line - 1] if line <= len(source.lines) else ""
    if text[column - 1 : column] == "\t" or text[: len(text) - len(text.lstrip())].count("\t"):
        column = text.index("\t") + 1 if text[column - 1 : column] != "\t" else column
        return source.error(line, column, "a tab cannot stand here in YAML; indent with spaces")
    problem = " ".join(str(error.problem or error.context).split())
    return source.error(line, column, f"this is not YAML: {problem}")


def _position(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _refuse_unwanted(source: Source, event: Event, has_root: bool) -> None:
    begin = _position(event.start_mark)
    if isinstance(event, DocumentStartEvent):
        if event.version or event.tags:
            line = next(n for n, text in enumerate(source.lines, start=1) if text.startswith("%"))
            raise source.error(line, 1, "YAML directives (%) are not permitted in a search space; remove them")
        if has_root:
            raise source.error(*begin, "a search space is one YAML document; a second one begins here")
    elif isinstance(event, DocumentEndEvent):
        return
    elif isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
        raise source.error(*begin, "anchors (&) and aliases (*) are not permitted in a search space; write the value")
    elif isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
        raise source.error(*begin, f"tags are not permitted in a search space; remove {quoted(event.tag)}")


def _add(source: Source, collection: _Collection, node: Node) -> None:
    """Add a finished node to the collection around it: as its next item, as a key, or as that key's value."""
    if not collection.is_mapping:
        collection.children[len(collection.children)] = node
    elif collection.key is not None:
        if node.begin == node.end:  # no text after the colon: errors point at the key
            node = replace(node, begin=collection.keys[collection.key])
        collection.children[collection.key] = node
        collection.key = None
    elif not isinstance(node.value, str):
        raise source.error(*node.begin, "a key is text; put it into quotes if it is meant to be one")
    elif node.value in collection.keys:
        line = collection.keys[node.value][0]
        raise source.error(*node.begin, f"the key {quoted(node.value)} is here twice; the first is on line {line}")
    else:
        collection.key = node.value
        collection.keys[node.value] = node.begin


def _scalar(source: Source, event: ScalarEvent) -> Any:
    text = str(event.value)
    begin = _position(event.start_mark)
    if event.style is not None:
        if not text.isprintable():
            raise source.error(*begin, "this text has line breaks or characters that do not print; remove them")
        return text
    if _NOT_FINITE.fullmatch(text):
        raise source.error(*begin, f"expected a finite number, got {text}")
    value = plain_value(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise source.error(*begin, f"expected a finite number, got {quoted(text)}, which is too large for one")
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        raise source.error(*begin, f"expected a number up to {_LARGEST_INT}, got {quoted(text)}")
    return value


def plain_value(text: str) -> bool | int | float | str | None:
    """Return the value of unquoted text in YAML 1.2's core schema; other text is returned unchanged."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        # Numbers beyond 40 digits are refused anyway, and Python does not convert thousands of digits.
        return int(text, base) if len(text) <= 40 else _LARGEST_INT + 1
    return float(text) if _FLOAT.fullmatch(text) else text
