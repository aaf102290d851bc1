"""A traced graph as canonical text: one line per operation, equal in every process that traces the same network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from explorer.models.identity import Step

Names = Callable[[str], str]
"""The function from names in the traced network to names in the user's module."""

_OF_TORCH = ("aten", "prims", "prim")
# Operators that consist of graphs and values alone, which the text includes.
_TRANSPARENT = (
    *("wrap_with_autocast", "wrap_with_set_grad_enabled", "autograd_function_apply", "tag_activation_checkpoint"),
    *("invoke_subgraph", "cond", "while_loop", "map_impl", "scan", "associative_scan"),
)
_N_SHOWN = 4  # constants of up to so many values are written out
_WRITTEN = (bool, int, float, complex, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)


class Unreadable(Exception):
    """A graph contains something that its text cannot represent completely."""


def tensor_text(tensor: Tensor) -> str:
    """Return type, shape, strides unless contiguous, and the SHA-256 of the values in the order of indices.

    Strides of weights (channels_last) remain in the exported file, and decide which kernels run.
    """
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    content = hashlib.sha256(plain.view(torch.uint8).numpy().data).hexdigest()  # NumPy has no bfloat16
    layout = "" if tensor.is_contiguous() else f" with strides {list(tensor.stride())}"
    return f"{_type_text(tensor)}{layout} {content}"


def graph_text(
    program: ExportedProgram, names: Names, shared: Mapping[str, str], tensors: dict[str, str]
) -> tuple[Step, ...]:
    """Return the operations of a traced program.

    Parameters, buffers and attributes appear under their `names`; one that shares memory, under its owner's. Attributes
    are added to `tensors`. Raises Unreadable for an operator that is not PyTorch's own, or a value without a text.
    """
    known = {**program.state_dict, **program.constants}
    inputs: dict[str, str] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            inputs[spec.arg.name] = "inputs"
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            name = names(str(spec.target))
            owner = shared.get(name, name)
            inputs[spec.arg.name] = owner if owner in tensors else name
        elif spec.kind == InputKind.CONSTANT_TENSOR:
            inputs[spec.arg.name] = _constant(str(spec.target), known[str(spec.target)], names, tensors)
        else:
            raise Unreadable(f"it holds {spec.target}, a {spec.kind.name.lower()}")
    steps = list(_steps(program.graph_module, inputs, names))
    outputs = [f"{spec.kind.name} {spec.target or ''}" for spec in program.graph_signature.output_specs]
    return (*steps, Step("; ".join(outputs)))


def _constant(target: str, tensor: Tensor, names: Names, tensors: dict[str, str]) -> str:
    """Return the text of a constant: the name of an attribute, the value of a number in the code."""
    if re.search(r"(^|\.)lifted_tensor_\d+$", target):
        return _value_text(tensor)
    name = names(target)
    tensors[name] = f"attribute {tensor_text(tensor)}"
    return name


def _value_text(tensor: Tensor) -> str:
    shown = f"{tensor.tolist()} " if tensor.numel() <= _N_SHOWN else ""
    return f"constant({shown}{tensor_text(tensor)})"


def _steps(module: fx.GraphModule, inputs: Mapping[str, str], names: Names) -> Iterator[Step]:
    """Yield the operations in order; each refers to earlier ones by number."""
    named: dict[fx.Node, str] = {}
    n_steps = 0
    for node in module.graph.nodes:
        if node.op == "placeholder":
            named[node] = inputs.get(node.name) or f"input {len(named)}"
        elif node.op == "get_attr":
            named[node] = _held(module, str(node.target), names)
        elif node.op == "output":
            yield Step(f"return {_text(node.args, named)}")
        else:
            n_steps += 1
            named[node] = f"%{n_steps}"
            options = {name: node.kwargs[name] for name in sorted(node.kwargs)}
            words = f"{_target(node.target)}{_text(node.args, named)}{_text(options, named) if options else ''}"
            yield Step(f"{words} -> {_made(node.meta.get('val'))}", _module_path(node, names))


def _held(module: fx.GraphModule, target: str, names: Names) -> str:
    """Return the text of a nested graph, or of a tensor in the graph. Raises Unreadable."""
    held = attrgetter(target)(module)
    if isinstance(held, fx.GraphModule):
        return f"{{{'; '.join(step.text for step in _steps(held, {}, names))}}}"
    if isinstance(held, Tensor):
        return _value_text(held)
    raise Unreadable(f"it holds a {type(held).__name__}")


def _target(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        if target.namespace in _OF_TORCH:
            return str(target)
        if target.namespace == "torchvision":
            return f"{target} of {version('torchvision')}"
        raise Unreadable(f"it calls {target}, an operator that is not of PyTorch")
    if isinstance(target, torch._ops.HigherOrderOperator):
        name = str(target)
        if name in _TRANSPARENT:
            return name
        raise Unreadable(f"it calls {name}, of which its graph does not show everything")
    home = getattr(target, "__module__", "") or ""
    if home in ("_operator", "math", "builtins") or home.partition(".")[0] == "torch":
        return f"{home}.{target.__name__}"
    raise Unreadable(f"it calls {target!r}")


def _text(value: Any, named: Mapping[fx.Node, str]) -> str:
    """Return the text of an argument; numbers by `repr`, so that 1, 1.0 and True differ. Raises Unreadable."""
    if isinstance(value, fx.Node):
        return named[value]
    if isinstance(value, tuple):
        return f"({', '.join(_text(one, named) for one in value)})"
    if isinstance(value, list):
        return f"[{', '.join(_text(one, named) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_text(one, named)}' for name, one in value.items())}}}"
    if isinstance(value, slice):
        return f"slice{_text((value.start, value.stop, value.step), named)}"
    if isinstance(value, torch._ops.OpOverload):
        return _target(value)
    if type(value) in _WRITTEN:
        return repr(value)
    raise Unreadable(f"it holds a {type(value).__name__}")


def _made(value: Any) -> str:
    """Return type and shape of an operation's result, with letters for dynamic sizes."""
    if isinstance(value, Tensor):
        return _type_text(value)
    if isinstance(value, tuple | list):
        return ", ".join(_made(one) for one in value)
    return type(value).__name__


def _type_text(tensor: Tensor) -> str:
    shape = ", ".join(re.sub(r"\b([su])\d+\b", r"\1", str(n)) for n in tensor.shape)
    return f"{str(tensor.dtype).removeprefix('torch.')}[{shape}]"


def _module_path(node: fx.Node, names: Names) -> str:
    """Return the path of the innermost module of an operation."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return names(str(stack[-1][0])) if stack else ""
