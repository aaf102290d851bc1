"""Describe a network by its content: the hash of every tensor, and the graph of torch.export as canonical text.

A description does not depend on its process: it has no addresses, files, lines, orders of registration or seeds.
"""

from __future__ import annotations

import copy
import functools
import random
import sys
import sysconfig
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from explorer.models.graph_text import Names, Unreadable, graph_text, tensor_text
from explorer.models.identity import Description, Step
from explorer.system.hashing import file_sha256

_PACKAGE = Path(__file__).parents[1]


def describe(network: nn.Module, own: str, inputs: Tensor) -> Description:
    """Describe `network`, which is called with tensors like `inputs` [2, ...]; a copy is traced.

    `own` is the name of the user's module in it, in whose terms names are given. Raises TypeError for a parameter or
    buffer that is not a plain tensor.
    """
    names = _users_names(own)
    tensors, shared = _tensors(network, names)
    unknown = ""
    graph: tuple[Step, ...] = ()
    training: tuple[Step, ...] = ()

    def traced(is_training: bool) -> tuple[Step, ...]:
        return graph_text(_exported(network, inputs, is_training), names, shared, tensors)

    try:
        graph = traced(is_training=False)
        training = _training(network, inputs, names, traced)
    except MemoryError:
        raise
    except Exception as error:  # torch.export and the user's own code raise anything
        unknown = _why(error)
    layers = {names(name): layer for name, module in _modules(network) if (layer := _layer(module))}
    nonce = uuid.uuid4().hex if unknown else ""
    return Description(tensors, shared, layers, graph, training, unknown, nonce)


def _users_names(own: str) -> Names:
    """Return the function from names in the whole network to names in the user's module `own`."""
    prefix = f"{own}."

    def users_name(name: str) -> str:
        if name == own:
            return ""
        return name.removeprefix(prefix) if name.startswith(prefix) else f"normalization {name}"

    return users_name


def _modules(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return all modules by name; a module with several names appears under each."""
    return sorted(network.named_modules(remove_duplicate=False), key=lambda item: item[0])


def _layer(module: nn.Module) -> str:
    """Return the class of torch.nn that pruning and quantization see in a module with parameters, else ""."""
    if not any(one is not None for one in module._parameters.values()) and not hasattr(module, "parametrizations"):
        return ""
    kind = next(one for one in type(module).__mro__ if one.__module__.partition(".")[0] == "torch")
    if kind is nn.Module:
        return ""
    return kind.__name__ if kind is type(module) else f"a kind of {kind.__name__}"


def _tensors(network: nn.Module, names: Names) -> tuple[dict[str, str], dict[str, str]]:
    """Return each parameter and buffer as text, and which of them share memory. Raises TypeError."""
    held = {name: (tensor, "buffer") for name, tensor in network.named_buffers(remove_duplicate=False)}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        held[name] = (parameter, "parameter" if parameter.requires_grad else "frozen parameter")
    texts: dict[str, str] = {}
    shared: dict[str, str] = {}
    of_storage: dict[int, list[tuple[str, Tensor]]] = {}
    for name, (tensor, kind) in sorted((names(name), one) for name, one in held.items()):
        _require_plain(name, tensor)
        texts[name] = f"{kind} {tensor_text(tensor)}"
        others = of_storage.setdefault(tensor.untyped_storage().data_ptr(), [])
        owner = next((one for one in others if _overlap(tensor, one[1])), None) if tensor.numel() else None
        if owner is None:
            others.append((name, tensor))
        else:
            shared[name] = _sharing(tensor, *owner)
    return texts, shared


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of one storage may have bytes in common."""
    (begin, end), (other_begin, other_end) = _bytes(one), _bytes(other)
    return begin < other_end and other_begin < end


def _bytes(tensor: Tensor) -> tuple[int, int]:
    """Return the first byte of a tensor in its storage, and the one after its last."""
    last = sum(int((n - 1) * step) for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    first = int(tensor.storage_offset())
    return first * tensor.element_size(), (first + last + 1) * tensor.element_size()


def _sharing(tensor: Tensor, name: str, owner: Tensor) -> str:
    """Return the owner's name where the two are one tensor; else a description, which is not a name."""
    views = [(one.dtype, one.shape, one.stride(), one.storage_offset()) for one in (tensor, owner)]
    return name if views[0] == views[1] else f"{name} from its byte {_bytes(tensor)[0] - _bytes(owner)[0]} on"


def _require_plain(name: str, tensor: Tensor) -> None:
    if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
        raise TypeError(f"'{name}' is of {type(tensor).__name__}")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise TypeError(f"'{name}' is {tensor.layout}, {tensor.dtype}, on the device {tensor.device}")


def _exported(network: nn.Module, inputs: Tensor, is_training: bool) -> ExportedProgram:
    """Trace a copy of `network` for a batch of any size, or of two inputs where its code fixes the size.

    Raises whatever torch.export does.
    """
    traced = copy.deepcopy(network).train(is_training)
    batch = {0: torch.export.Dim.AUTO}
    try:
        # torch.export warns of its own deprecations
        with catch_warnings(action="ignore"), torch.set_grad_enabled(is_training), _same_draws():
            return torch.export.export(traced, (inputs,), dynamic_shapes=(batch,), strict=False)
    finally:
        traced.eval()  # a copy may share modules with the network, through their __deepcopy__


def _training(
    network: nn.Module, inputs: Tensor, names: Names, traced: Callable[[bool], tuple[Step, ...]]
) -> tuple[Step, ...]:
    """Return the operations in training mode.

    Where these cannot be traced, or gradients run the user's own code, which no graph shows, the files of that code and
    the numbers in its modules replace them. They change more often than the computation.
    """
    try:
        if not _has_own_gradients(network, inputs):
            return traced(True)
    except MemoryError:
        raise
    except Exception:  # as in `describe`
        pass
    files = [f"file of {name}: {file_sha256(path)}" for name, path in own_files()]
    numbers = [
        f"{names(name)}.{key} = {value!r}"
        for name, module in _modules(network)
        if not type(module).__module__.startswith("torch.")
        for key, value in sorted(vars(module).items())
        if isinstance(value, bool | int | float | str | None) and key not in vars(nn.Module())
    ]
    return tuple(Step(text) for text in [*files, *numbers])


def _has_own_gradients(network: nn.Module, inputs: Tensor) -> bool:
    """Return whether a backward pass runs the user's code: hooks, or a `torch.autograd.Function`.

    Raises whatever the network raises in training mode.
    """
    hooked = [
        *(module._backward_hooks or module._backward_pre_hooks for module in network.modules()),
        *(parameter._backward_hooks for parameter in network.parameters()),
    ]
    if any(hooked):
        return True
    trained = copy.deepcopy(network).train()
    try:
        with torch.enable_grad(), _same_draws():
            outputs = trained(inputs)[-1]
    finally:
        trained.eval()  # as in `_exported`
    own = {name for name, _ in own_files()}
    return any(kind.__module__ in own for kind in _functions(outputs.grad_fn))


def _functions(last: Any) -> Iterator[type]:
    """Yield the classes of the Python functions that a backward pass from the node `last` runs."""
    seen, waiting = {last}, [last]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if kind := getattr(node, "_forward_cls", None):
            yield kind
        for earlier, _ in node.next_functions:
            if earlier not in seen:
                seen.add(earlier)
                waiting.append(earlier)


def own_files() -> list[tuple[str, Path]]:
    """Return name and file of each imported module that is neither installed, nor Python's, nor of this package."""
    files = ((name, getattr(module, "__file__", None)) for name, module in sorted(sys.modules.items()))
    named = [(name, Path(file)) for name, file in files if isinstance(file, str) and file.endswith(".py")]
    return [(name, path) for name, path in named if _is_own(path)]


def _is_own(path: Path) -> bool:
    """Return whether a file is the user's own; installed files are identified by their version."""
    return path.is_file() and not any(path.resolve().is_relative_to(place) for place in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    places = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return (*dict.fromkeys(places), _PACKAGE.resolve())


@contextmanager
def _same_draws() -> Iterator[None]:
    """Seed all random generators, and restore them afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(0)
            np.random.seed(0)
            torch.manual_seed(0)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _why(error: Exception) -> str:
    """Return the first line of a tracing error, and the user's line that it came from."""
    words = str(error).strip().splitlines()
    why = words[0].rstrip(".:") if words and not isinstance(error, Unreadable) else str(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(Path(frame.filename))]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"it cannot be traced{place} ({why})"
