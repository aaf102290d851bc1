"""Check untrusted PyTorch programs (.pt2): only what `torch.export.save` writes.

`torch.export.load` is made for trusted files. As of torch 2.15 a file can execute code in six ways:

    data/weights, data/constants   `torch.load(weights_only=False)` of tensors marked `use_pickle`, `pickle.loads` of
                                   `opaque_obj_*`
    data/sample_inputs             `torch.load(weights_only=True)`, and where that fails the same without
    data/aotinductor               a shared library is loaded
    models/*.json                  `expr_str` is evaluated by SymPy as Python; an operator's name is looked up from
                                   `torch` on, which reaches any module; names become source code

So only the members of a plain program are allowed; models/model.json is held to a grammar in which every name, operator
and size expression that becomes code matches a pattern; and the pickles of quantized weights and sample inputs are
checked by `tensor_pickles` without being opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from explorer.runtimes.untrusted.files import UnsafeFile, holds
from explorer.runtimes.untrusted.stored_zip import stored_members
from explorer.runtimes.untrusted.tensor_pickles import check_tensor_pickle

_NAME = r"[A-Za-z_]\w{0,250}"
_PATH = r"[\w.@-]{0,500}"
# The parts of a size, which SymPy evaluates: no power, which could be of any size, and no name but these.
_SYMBOL = r"Symbol\('[a-z]{1,3}\d{1,6}'(?:, (?:positive|nonnegative|integer)=True)*\)"
_FUNCTION = r"(?:Add|Mul|Integer|FloorDiv|CleanDiv|CeilDiv|Mod|PythonMod|ModularIndexing|Min|Max)\("
_SIZE_PART = re.compile(rf"{_SYMBOL}|{_FUNCTION}|\d{{1,12}}|[(),+* -]", re.ASCII)
_MAX_SIZE_LENGTH = 2000

# Operators of torch itself; no name with two underscores, which would be an attribute of every Python object.
_ATEN = r"torch\.ops\.aten\.(?!__)\w+\.(?!_)\w+"
_OTHERS = (
    r"torch\.ops\.export\.access_subclass_inner_tensor\.default",
    r"torch\.ops\.torchao\.(choose_qparams_affine|quantize_affine|dequantize_affine)\.default",
    r"_operator\.(add|sub|mul|neg|floordiv|mod|eq|ne|lt|le|gt|ge|getitem)",
)
# Only these may have a text argument: `aten.from_file`, for one, would use it as a path.
_TEXT_ALLOWED = re.compile(
    "|".join((r"torch\.ops\.aten\.(div|gelu|pad|einsum|grid_sampler)\b.*", *_OTHERS[:2])), re.ASCII
)

# Allowed texts by key; a key without a pattern has no text. `.` is anything but a new line.
_TEXTS: Mapping[str, re.Pattern[str]] = {
    key: re.compile(pattern, re.ASCII)
    for key, pattern in {
        "name": _NAME,
        "as_name": _NAME,
        "forward_arg_names": _NAME,
        "target": "|".join((_ATEN, *_OTHERS)),
        "as_string": r"[A-Za-z_, >.-]{0,60}",
        "as_float": r"-?Infinity|NaN",
        "type": "cpu",
        "parameter_name": _PATH,
        "buffer_name": _PATH,
        "tensor_constant_name": _PATH,
        "fqn": _PATH,
        "path_name": _PATH,
        "stack_trace": r"(?s:.*)",
        "nn_module_stack": r".*",
        "torch_fn": r".*",
        "torch_version": r"[\w.+-]{0,60}",
        "verifiers": r"TRAINING|ATEN",
    }.items()
}
_SPECS = frozenset({"in_spec", "out_spec"})
# Objects whose keys are names of what they hold.
_NAMED: Mapping[str, re.Pattern[str]] = {
    key: re.compile(pattern, re.ASCII)
    for key, pattern in {
        "tensor_values": _NAME,
        "sym_int_values": _NAME,
        "sym_bool_values": _NAME,
        "sym_float_values": _NAME,
        "range_constraints": r"[a-z]{1,3}\d{1,6}",
        "opset_version": _NAME,
        "config": _PATH,
    }.items()
}
# Nothing may be in them: objects of Python classes, and code for checking inputs.
_EMPTY = frozenset({"custom_obj_values", "treespec_namedtuple_fields", "guards_code"})
_KEYS = frozenset({
    *_TEXTS, *_SPECS, *_NAMED, *_EMPTY, "expr_str",
    "arg", "as_bool", "as_bools", "as_device", "as_expr", "as_floats", "as_int", "as_ints", "as_layout",
    "as_memory_format", "as_none", "as_optional_tensors", "as_scalar_type", "as_sym_int", "as_sym_ints", "as_tensor",
    "as_tensors", "buffer", "device", "dtype", "graph", "graph_module", "hint", "index", "input_specs", "inputs",
    "is_hop_single_tensor_return", "is_param", "is_single_tensor_return", "kind", "layout", "major", "max_val",
    "metadata", "min_val", "minor", "module_call_graph", "nodes", "output_specs", "outputs", "parameter", "persistent",
    "requires_grad", "schema_version", "signature", "sizes", "storage_offset", "strides", "tensor_constant",
    "tensor_meta", "use_pickle", "user_input", "user_output",
})  # fmt: skip
_SPEC_TYPES = (None, "builtins.tuple", "builtins.list", "builtins.dict")


def check_grammar(value: Any) -> None:
    """Raise UnsafeFile at the first key or text outside of the grammar."""
    try:
        _check(value, "")
    except RecursionError as error:
        raise UnsafeFile("is a program whose description is nested too deeply") from error


def _check(value: Any, key: str) -> None:
    if key in _EMPTY and value:
        raise UnsafeFile(f"is a program with {key}, which only code of its own could use")
    if isinstance(value, dict):
        _check_object(value, key)
    elif isinstance(value, list):
        for part in value:
            _check(part, key)
    elif isinstance(value, str):
        _check_text(value, key)


def _check_object(value: dict[str, Any], key: str) -> None:
    named = _NAMED.get(key)
    for inner, part in value.items():
        if not (named.fullmatch(inner) if named else inner in _KEYS):
            raise UnsafeFile(f"is a program with {inner[:80]!r} in {key or 'it'}, which a plain one does not have")
        _check(part, "" if named else inner)
    if "target" in value and not _TEXT_ALLOWED.fullmatch(str(value["target"])) and _has_text(value.get("inputs")):
        raise UnsafeFile(f"is a program whose operator {str(value['target'])[:80]!r} has a text argument")


def _check_text(value: str, key: str) -> None:
    if key in _SPECS:
        _check_spec(value)
    elif key == "expr_str":
        _check_size(value)
    elif key not in _TEXTS or not _TEXTS[key].fullmatch(value):
        raise UnsafeFile(f"is a program with the {key or 'text'} {value[:80]!r}, which a plain one does not have")


def _check_size(value: str) -> None:
    if len(value) > _MAX_SIZE_LENGTH or "**" in value or _SIZE_PART.sub("", value):
        raise UnsafeFile(f"is a program with a size that is computed by {value[:80]!r}")


def _has_text(inputs: Any) -> bool:
    arguments = [argument.get("arg") for argument in inputs if isinstance(argument, dict)] if inputs else []
    return any("as_string" in argument for argument in arguments if isinstance(argument, dict))


def _check_spec(text: str) -> None:
    """Check the structure of inputs or outputs, which is JSON in a text: tuples, lists and dicts of leaves.

    The context of a node may name any class of any module, which would be imported.
    """
    try:
        protocol, spec = json.loads(text)
        is_plain = protocol == 1 and _is_plain_spec(spec)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        is_plain = False
    if not is_plain:
        raise UnsafeFile(f"is a program whose inputs or outputs are no plain tensors: {text[:80]!r}")


def _is_plain_spec(spec: dict[str, Any]) -> bool:
    context = spec["context"] if spec["context"] is None else json.loads(spec["context"])
    is_plain = context is None or (isinstance(context, list) and all(isinstance(part, str) for part in context))
    return is_plain and spec["type"] in _SPEC_TYPES and all(map(_is_plain_spec, spec["children_spec"]))


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
    """Raise UnsafeFile for anything but a plain program, as described above."""
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
    """Check each tensor's description and its file: raw numbers, or a pickle of a quantized tensor."""
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
    """Return whether a tensor's description has a shape with at most as many values as there are bytes."""
    sizes = meta.get("sizes") if isinstance(meta, dict) else None
    if not isinstance(sizes, list):
        return False
    known: list[Any] = [size.get("as_int") if isinstance(size, dict) else None for size in sizes]
    return all(isinstance(n, int) for n in known) and holds(known, n_bytes)
