"""PyTorch programs (.pt2) of strangers: only the members, names, operators and pickles that `torch.export.save` writes.

`torch.export.load` is made for files that one trusts. As of torch 2.15 it would run what a file says in six ways:

    data/weights, data/constants   `torch.load(weights_only=False)` of tensors marked `use_pickle`, `pickle.loads` of
                                   `opaque_obj_*`
    data/sample_inputs             `torch.load(weights_only=True)`, and where that fails the same without
    data/aotinductor               a shared library is loaded
    models/*.json                  `expr_str` is evaluated by SymPy as Python; an operator's name is looked up from
                                   `torch` on, which reaches any module; names become source code

So the archive is held to the members of a plain program, models/model.json to `program_grammar`, and the pickles of
quantized weights and of sample inputs to `tensor_pickles`; none of them is opened for that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from explorer.runtimes.program_grammar import check_grammar
from explorer.runtimes.safety import UnsafeFile, holds
from explorer.runtimes.stored_zip import stored_members
from explorer.runtimes.tensor_pickles import check_tensor_pickle

_PROGRAM, _INPUTS = "models/model.json", "data/sample_inputs/model.pt"
# The folder of tensors, the description of those in it, and what their files are called.
_TENSORS = (
    ("data/weights", "data/weights/model_weights_config.json", re.compile(r"weight_\d+", re.ASCII)),
    ("data/constants", "data/constants/model_constants_config.json", re.compile(r"tensor_\d+", re.ASCII)),
)
_MARKS: Mapping[str, bytes] = {"archive_format": b"pt2", "byteorder": b"little"}
_PLAIN = frozenset({"archive_version", ".data/version", ".data/serialization_id", *_MARKS})
_MAX_JSON_BYTES = 64 * 2**20


def check_program(content: bytes) -> None:
    """Raises UnsafeFile for what is not a plain program: see above."""
    members = stored_members(content)
    allowed = {_PROGRAM, _INPUTS, *_PLAIN, *(config for _, config, _ in _TENSORS)}
    for name in members:
        folder, _, file = name.rpartition("/")
        if name not in allowed and not any(folder == of and called.fullmatch(file) for of, _, called in _TENSORS):
            raise UnsafeFile(f"is a program with {name!r} in it, which a plain one does not have")
    if missing := sorted({_PROGRAM, *_MARKS, *(config for _, config, _ in _TENSORS)} - members.keys()):
        raise UnsafeFile(f"is not a program: it has no {missing[0]}")
    for name, expected in _MARKS.items():
        if members[name] != expected:
            raise UnsafeFile(f"is a program whose {name} is not {expected.decode()!r}")
    check_grammar(_json(members, _PROGRAM))
    for folder, config, called in _TENSORS:
        _check_tensors(members, folder, _json(members, config), called)
    if inputs := members.get(_INPUTS):
        check_tensor_pickle(inputs)


def _json(members: Mapping[str, memoryview], name: str) -> Any:
    content = members[name]
    if len(content) > _MAX_JSON_BYTES:
        raise UnsafeFile(f"is a program with {len(content)} bytes of {name}")
    try:
        return json.loads(bytes(content))
    except (ValueError, RecursionError) as error:
        raise UnsafeFile(f"is a program whose {name} does not read as JSON") from error


def _check_tensors(members: Mapping[str, memoryview], folder: str, described: Any, called: re.Pattern[str]) -> None:
    """Each tensor's own description, and its file: raw numbers, or a pickle of a quantized tensor."""
    check_grammar(described)
    config = described.get("config") if isinstance(described, dict) else None
    if not isinstance(config, dict):
        raise UnsafeFile(f"is a program whose {folder} are not described")
    for tensor, facts in config.items():
        file = facts.get("path_name") if isinstance(facts, dict) else None
        if not isinstance(file, str) or not called.fullmatch(file) or f"{folder}/{file}" not in members:
            raise UnsafeFile(f"is a program whose tensor {tensor!r} is not in it")
        content = members[f"{folder}/{file}"]
        if facts.get("use_pickle") is not False:
            check_tensor_pickle(content)
        elif not _is_held(facts.get("tensor_meta"), len(content)):
            raise UnsafeFile(f"is a program whose tensor {tensor!r} has more values than bytes")


def _is_held(meta: Any, n_bytes: int) -> bool:
    """Whether a tensor of that description says its shape, and has at most as many values as there are bytes."""
    sizes = meta.get("sizes") if isinstance(meta, dict) else None
    if not isinstance(sizes, list):
        return False
    known: list[Any] = [size.get("as_int") if isinstance(size, dict) else None for size in sizes]
    return all(isinstance(n, int) for n in known) and holds(known, n_bytes)
