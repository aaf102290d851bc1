"""The user's own network: "package.module:function" gives a trained module, taken as it is."""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from explorer.errors import ModelError
from explorer.hashing import file_sha256
from explorer.models.base import BaseNetwork, fingerprint_of
from explorer.models.network import Normalize, StagedNetwork
from explorer.records import Width


@final
class OwnNetwork:
    """A network of one width and one exit."""

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        self._network = StagedNetwork([nn.Sequential(Normalize(list(mean), list(std)), module)]).eval()

    def materialise(self, width: Width) -> StagedNetwork:
        """A copy of the network. Raises ValueError for a width other than 1.0."""
        if width != 1.0:
            raise ValueError(f"expected width 1.0, the only one that a network of your own has; got {width!r}.")
        return copy.deepcopy(self._network)


def load_own(
    spec: str, n_classes: int, image_shape: tuple[int, int, int], mean: Sequence[float], std: Sequence[float]
) -> BaseNetwork:
    """Import `spec` ("package.module:function"; the current directory counts) and call its function.

    The function takes `(n_classes, image_shape)` or nothing, and returns a trained `nn.Module` that maps normalized
    float32 images [b, c, h, w] to logits [b, n_classes]; it is put in eval mode. `mean` and `std` are one a channel on
    the 0-255 scale. Raises ModelError, the user's traceback first, when the module cannot be imported, lacks the
    function, raises, or gives something else, or other logits for the same images.
    """
    function = _function(spec)
    module = _call(spec, function, n_classes, image_shape)
    network = OwnNetwork(module.eval(), mean, std)
    _check_outputs(spec, _copy(spec, network), n_classes, image_shape)
    source = _source(spec, function)
    made_of = {"spec": spec, "source": file_sha256(source) if source else None, "structure": repr(module)}
    fingerprint = _fingerprint(spec, network, made_of)
    return BaseNetwork(spec, n_classes, fingerprint, {"family": spec, "fingerprint": fingerprint}, network)


def _function(spec: str) -> Callable[..., Any]:
    module_name, _, function_name = spec.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        raise ModelError(f"expected 'package.module:function', got '{spec}'.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        importlib.invalidate_caches()
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{_users_traceback(error)}\nThe module '{module_name}' of your network '{spec}' cannot be imported from "
            f"{os.getcwd()} or the installed packages: {_say(error)}."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [name for name, value in vars(module).items() if inspect.isfunction(value) and name[0] != "_"]
        raise ModelError(
            f"expected a function '{function_name}' in the module '{module_name}' ({module.__file__}); "
            f"it has {', '.join(names) or 'no functions'}."
        )
    return function  # type: ignore[no-any-return]


def _call(spec: str, function: Callable[..., Any], n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    try:
        module = function(n_classes, image_shape) if inspect.signature(function).parameters else function()
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{_users_traceback(error)}\nYour network's function '{spec}' raised {_say(error)}; "
            f"it was called for {n_classes} classes and images of shape {list(image_shape)}."
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"expected '{spec}' to return a torch.nn.Module, got {type(module).__name__}.")
    return module


def _source(spec: str, function: Callable[..., Any]) -> Path | None:
    """The file that the function is in; for a callable that is no function, such as a partial, its module's."""
    try:
        found = inspect.getsourcefile(inspect.unwrap(function))
    except (TypeError, ValueError):
        found = sys.modules[spec.partition(":")[0]].__file__
    return Path(found) if found else None


def _copy(spec: str, network: OwnNetwork) -> StagedNetwork:
    try:
        return network.materialise(1.0)
    except Exception as error:
        raise ModelError(
            f"{_users_traceback(error)}\nYour network '{spec}' cannot be copied, as it is for every variant: "
            f"{_say(error)}."
        ) from error


def _fingerprint(spec: str, network: OwnNetwork, made_of: dict[str, Any]) -> str:
    try:
        return fingerprint_of(network.materialise(1.0), made_of)
    except (TypeError, AttributeError, RuntimeError) as error:  # bfloat16, quantized tensors, a state of other values
        raise ModelError(
            f"expected the parameters and buffers of '{spec}' to be plain tensors of a type that NumPy has, such as "
            f"float32: {_say(error)}."
        ) from error


@torch.no_grad()
def _check_outputs(spec: str, network: StagedNetwork, n_classes: int, image_shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, *image_shape), dtype=torch.uint8, generator=generator)
    try:
        (once,), (again,), (alone,) = network(images), network(images), network(images[:1])
    except Exception as error:
        raise ModelError(
            f"{_users_traceback(error)}\nYour network '{spec}' raised {_say(error)}; it was given normalized float32 "
            f"images of shape {list(images.shape)}."
        ) from error
    for logits, n in ((once, 4), (alone, 1)):
        if not isinstance(logits, Tensor) or logits.shape != (n, n_classes) or not logits.is_floating_point():
            got = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise ModelError(f"expected '{spec}' to map {n} images to float logits {[n, n_classes]}, got {got}.")
    if not torch.isfinite(once).all():
        raise ModelError(f"expected '{spec}' to give finite logits, got NaN or infinity for random images.")
    if not torch.allclose(once, again, rtol=1e-5, atol=1e-6):
        raise ModelError(
            f"expected '{spec}' to give the same logits for the same images, got a difference of "
            f"{float((once - again).abs().max()):.3g}: is dropout or other randomness left on in eval mode?"
        )


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _users_traceback(error: BaseException) -> str:
    """The traceback without the frames of the import machinery and of this file."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = ("<frozen importlib", importlib.__file__, __file__)
    kept = traceback.StackSummary.from_list([frame for frame in frames if not frame.filename.startswith(mine)])
    lines = ["Traceback (most recent call last):\n", *kept.format()] if kept else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
