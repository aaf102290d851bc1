"""The grammar of an exported program's JSON: which keys it has, and what each text in it may say.

Whatever `torch.export.load` makes code of is a name, an operator, or a sum of sizes here; see `pt2_safety`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from explorer.runtimes.safety import UnsafeFile

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
# Only these may be told a word: `aten.from_file`, for one, would take it for a path.
_SPOKEN_TO = re.compile("|".join((r"torch\.ops\.aten\.(div|gelu|pad|einsum|grid_sampler)\b.*", *_OTHERS[:2])), re.ASCII)

# What the text at a key may be; a key without a pattern has no text. `.` is anything but a new line.
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
    """Raises UnsafeFile at the first key or text that is not of the grammar."""
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
    if "target" in value and not _SPOKEN_TO.fullmatch(str(value["target"])) and _has_words(value.get("inputs")):
        raise UnsafeFile(f"is a program whose operator {str(value['target'])[:80]!r} is told a word")


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


def _has_words(inputs: Any) -> bool:
    arguments = [argument.get("arg") for argument in inputs if isinstance(argument, dict)] if inputs else []
    return any("as_string" in argument for argument in arguments if isinstance(argument, dict))


def _check_spec(text: str) -> None:
    """The shape of inputs or outputs as JSON in a text: tuples, lists and dicts of leaves.

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
