"""The user's own network: "package.module:function" returns a trained module, which is used unchanged."""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from explorer.errors import ModelError
from explorer.models.base import BaseNetwork, TrainingData
from explorer.models.identity import Description
from explorer.models.network import Normalize, StagedNetwork
from explorer.models.tracing import describe
from explorer.records import Width
from explorer.tasks.task import task_named

_FLOATS = (torch.float32, torch.float64, torch.float16)  # types that NumPy has
_USERS_MODULE = "segments.0.1"  # the name of the user's module in the whole network


@final
class OwnNetwork:
    """A network of one width and one exit."""

    def __init__(self, module: nn.Module, data: TrainingData) -> None:
        task = task_named(data.task)
        before = Normalize(list(data.mean), list(data.std)) if task.has_pixels else nn.Identity()
        self._network = StagedNetwork([nn.Sequential(before, module)]).eval()
        self._what = f"other {task.output_noun[0]} than when it was loaded, for the same {task.noun[0]}"
        self._known: tuple[Tensor, Tensor] | None = None

    def materialize(self, width: Width = 1.0) -> StagedNetwork:
        """Return a copy of the network. Raises ValueError for a width other than 1.0, ModelError as after `hold`."""
        if width != 1.0:
            raise ValueError(f"expected width 1.0, the only one that a network of your own has; got {width!r}.")
        made = copy.deepcopy(self._network)
        if self._known is None:
            return made
        inputs, known = self._known
        with torch.no_grad():
            is_same = torch.allclose(made(inputs)[-1], known, rtol=1e-4, atol=1e-5)
        if not is_same:
            raise ModelError(
                f"your network gives {self._what}: it depends on something that changed, such as a file that it reads "
                "at each call; read that once, where the network is made."
            )
        return made

    @torch.no_grad()
    def hold(self, inputs: Tensor) -> None:
        """Make later copies raise ModelError if they give other outputs for `inputs` [b, ...] than now.

        A network may read a file at each call, and so change in the middle of a study.
        """
        self._known = inputs, copy.deepcopy(self._network)(inputs)[-1]

    def describe(self, inputs: Tensor) -> Description:
        """Describe the network by its content, for inputs like `inputs` [2, ...]. Raises TypeError or RuntimeError."""
        return describe(self._network, _USERS_MODULE, inputs)


def load_own(spec: str, data: TrainingData) -> BaseNetwork:
    """Import `spec` ("package.module:function"; the current directory counts) and call its function.

    The function takes `(n_outputs, input_shape)` or nothing, and returns a trained `nn.Module` that maps inputs [b,
    *input_shape] to outputs [b, n_outputs]; it is put in eval mode. Images come as float32 [b, c, h, w], normalized by
    the mean and std of `data`, everything else as it is in the data set. Raises ModelError, the user's traceback first,
    when the module cannot be imported, lacks the function, raises, returns something else, or is not deterministic.
    """
    network = OwnNetwork(_call(spec, _function(spec), data).eval(), data)
    with _explained(f"Your network '{spec}' cannot be copied, as it is for every variant: {{error}}."):
        made = network.materialize()
    _check_outputs(spec, made, data)
    try:
        description = network.describe(torch.zeros_like(_some_inputs(data, 2)))
    except (TypeError, RuntimeError) as error:  # a quantized, sparse or uninitialized tensor
        raise ModelError(
            f"expected the parameters and buffers of '{spec}' to be plain tensors with values: {error}."
        ) from error
    network.hold(_some_inputs(data, 1))
    fingerprint = description.fingerprint()
    card = {
        "family": spec,
        "fingerprint": fingerprint,
        **({"unknown": description.unknown} if description.unknown else {}),
    }
    return BaseNetwork(spec, data.n_outputs, fingerprint, card, network, description)


def _function(spec: str) -> Callable[..., Any]:
    module_name, _, function_name = spec.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        raise ModelError(f"expected 'package.module:function', got '{spec}'.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    why = f"The module '{module_name}' of your network '{spec}' cannot be imported from {os.getcwd()} or the installed"
    with _explained(f"{why} packages: {{error}}."):
        importlib.invalidate_caches()
        module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [name for name, value in vars(module).items() if inspect.isfunction(value) and name[0] != "_"]
        raise ModelError(
            f"expected a function '{function_name}' in the module '{module_name}' ({module.__file__}); "
            f"it has {', '.join(names) or 'no functions'}."
        )
    return function  # type: ignore[no-any-return]


def _call(spec: str, function: Callable[..., Any], data: TrainingData) -> nn.Module:
    task, shape = task_named(data.task), tuple(data.inputs.shape[1:])
    wanted = f"{data.n_outputs} {task.output_noun[1]} and {task.noun[1]} of shape {list(shape)}"
    with _explained(f"Your network's function '{spec}' raised {{error}}; it was called for {wanted}."):
        module = function(data.n_outputs, shape) if inspect.signature(function).parameters else function()
    if not isinstance(module, nn.Module):
        raise ModelError(f"expected '{spec}' to return a torch.nn.Module, got {type(module).__name__}.")
    return module


def _some_inputs(data: TrainingData, n: int) -> Tensor:
    """Return `n` inputs [n, ...]: seeded random images, else the first training examples, again where they end."""
    if task_named(data.task).has_pixels:
        shape, generator = (n, *data.inputs.shape[1:]), torch.Generator().manual_seed(0)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return torch.from_numpy(np.array(data.inputs[np.arange(n) % len(data.inputs)]))


@torch.no_grad()
def _check_outputs(spec: str, network: StagedNetwork, data: TrainingData) -> None:
    task, inputs = task_named(data.task), _some_inputs(data, 4)
    inputs_noun, outputs_noun = task.noun[1], task.output_noun[0]
    kind = "normalized float32" if task.has_pixels else str(data.inputs.dtype)
    with _explained(
        f"Your network '{spec}' raised {{error}}; it was given {kind} {inputs_noun} of shape {list(inputs.shape)}."
    ):
        (once,), (again,), (alone,) = network(inputs), network(inputs), network(inputs[:1])
    for outputs, n in ((once, 4), (alone, 1)):
        if not isinstance(outputs, Tensor) or outputs.shape != (n, data.n_outputs) or outputs.dtype not in _FLOATS:
            got = f"{outputs.dtype} {list(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ModelError(
                f"expected '{spec}' to map {n} {inputs_noun} to float32, float64 or float16 [{n}, {data.n_outputs}], "
                f"got {got}."
            )
    if not torch.isfinite(once).all():
        given = f"random {inputs_noun}" if task.has_pixels else inputs_noun
        raise ModelError(f"expected '{spec}' to give finite {outputs_noun}, got NaN or infinity for {given}.")
    if not torch.allclose(once, again, rtol=1e-5, atol=1e-6):
        raise ModelError(
            f"expected '{spec}' to give the same {outputs_noun} for the same {inputs_noun}, got a difference of "
            f"{float((once - again).abs().max()):.3g}: is dropout or other randomness left on in eval mode?"
        )


@contextmanager
def _explained(sentence: str) -> Iterator[None]:
    """Raise ModelError for any exception: the user's traceback, and `sentence` with the exception for `{error}`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ModelError(f"{_users_traceback(error)}\n{sentence.replace('{error}', cause)}") from error


def _users_traceback(error: BaseException) -> str:
    """Return the traceback without the frames of the import machinery and of this file."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = ("<frozen importlib", importlib.__file__, __file__)
    frames_left = traceback.StackSummary.from_list([frame for frame in frames if not frame.filename.startswith(mine)])
    lines = ["Traceback (most recent call last):\n", *frames_left.format()] if frames_left else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
