"""The identity of a network by content: tensors, layers and traced graph; their hash, and the difference of two.

Importing this does not import torch: `explorer.models.tracing` makes descriptions, other processes compare them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, final

from explorer.system.files import open_plain
from explorer.typed_json import from_json

_VERSION = 1  # raised whenever the same network gets another description
_LARGEST_FILE = 64 * 2**20  # bytes; 3,000 operations and 500 tensors take half a mebibyte
_NAMED = 3
_LONGEST = 160


class Step(NamedTuple):
    """An operation of a traced graph: its text, and the path of its module.

    `module` is for readers alone, and not part of the identity.
    """

    text: str
    module: str = ""


@final
@dataclass(frozen=True, slots=True)
class Description:
    """All that determines what a network computes, how it is pruned, and how it is trained; without its weights' bytes.

    tensors   by name, kind, type, shape and SHA-256 of every parameter, buffer and tensor attribute
    shared    by name, the tensor whose memory a tensor shares, and how
    layers    by name, the PyTorch layer that a module with parameters is or derives from, if any
    graph     the operations in evaluation mode, in order
    training  the operations in training mode, or a substitute where they cannot be traced
    unknown   why the graph is unknown, else ""
    nonce     a unique number where the graph is unknown, so that nothing equals that network
    """

    tensors: Mapping[str, str]
    shared: Mapping[str, str]
    layers: Mapping[str, str]
    graph: tuple[Step, ...]
    training: tuple[Step, ...]
    unknown: str = ""
    nonce: str = ""

    def fingerprint(self) -> str:
        """Return the SHA-256 of everything but the operations' modules and the reason in `unknown`."""
        content = {
            "version": _VERSION,
            "tensors": dict(self.tensors),
            "shared": dict(self.shared),
            "layers": dict(self.layers),
            "graph": [step.text for step in self.graph],
            "training": [step.text for step in self.training],
            "nonce": self.nonce,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


_GRAPHS = {"graph": "the graph", "training": "the graph in training mode"}


def read_description(path: Path) -> Description | None:
    """Return the description in an untrusted JSON file; None where there is none, or it is not valid."""
    try:
        with open_plain(path) as file:
            content = file.read(_LARGEST_FILE + 1)
        return from_json(Description, json.loads(content)) if len(content) <= _LARGEST_FILE else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def difference(old: Description, new: Description) -> list[str]:
    """Return how `new` differs from `old`, in terms of the user's network; empty when they are equal.

    Tensors and layers by name, and the first operation that differs; a few of each.
    """
    found = [
        *_changed(old.tensors, new.tensors, _tensor_change),
        *_changed(old.shared, new.shared, _sharing_change),
        *_changed(old.layers, new.layers, _layer_change),
    ]
    for name, title in _GRAPHS.items():
        if change := _first_difference(title, getattr(old, name), getattr(new, name)):
            found.append(change)
            break  # a difference in evaluation mode is one in training mode as well
    if not found and old.nonce != new.nonce:
        why = new.unknown or old.unknown
        found.append(f"the network's graph is not known, so nothing shows that it is the same: {why}")
    return found


def _tensor_change(name: str, old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return f"{name} is {'new' if old is None else 'gone'}"
    kinds = [text.rpartition(" ")[0] for text in (old, new)]
    return f"{name} differs" if kinds[0] == kinds[1] else f"{name} was a {kinds[0]} and is a {kinds[1]}"


def _sharing_change(name: str, old: str | None, new: str | None) -> str:
    before = f"shared its memory with {_short(old)}" if old else "had its own memory"
    return f"{name} {before}, and now " + (f"shares its memory with {_short(new)}" if new else "has its own memory")


def _layer_change(name: str, old: str | None, new: str | None) -> str:
    return f"{name or 'the network'} was {old or 'no layer of PyTorch'} and is {new or 'no layer of PyTorch'}"


def _changed(
    old: Mapping[str, str], new: Mapping[str, str], sentence: Callable[[str, str | None, str | None], str]
) -> Iterator[str]:
    """Yield a sentence for each of the first names whose text differs, and one for the number of others."""
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    for name in names[:_NAMED]:
        yield sentence(_short(name), old.get(name), new.get(name))
    if (more := len(names) - _NAMED) > 0:
        yield f"and {more} more {'differ' if more > 1 else 'differs'}"


def _first_difference(title: str, old: Sequence[Step], new: Sequence[Step]) -> str:
    """Describe the first operation in which two graphs differ; "" where they are equal."""
    for index, (before, after) in enumerate(zip_longest(old, new)):
        if before is None or after is None or before.text != after.text:
            module = (after or before).module
            inside = f", in {_short(module)}" if module else ""
            change = _around_the_change(*("nothing" if step is None else step.text for step in (before, after)))
            return f"{title} differs at operation {index + 1}{inside}: {change}"
    return ""


def _around_the_change(old: str, new: str) -> str:
    """Return both texts, long ones from shortly before the first character that differs."""
    n_equal = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, n_equal - _LONGEST // 2) if max(len(old), len(new)) > _LONGEST else 0
    was, now = (_short(f"...{text[start:]}" if start else text) for text in (old, new))
    return f"it was {was} and is {now}"  # an operation has an arrow of its own


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
