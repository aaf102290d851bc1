"""The runtimes by name: a file and a line each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from explorer.runtimes.runtime import Runtime

RUNTIMES: Mapping[str, str] = {
    "eager": "explorer.runtimes.eager:Eager",
    "onnxruntime": "explorer.runtimes.onnxruntime:OnnxRuntime",
}


def runtime(name: str) -> Runtime:
    """The runtime of this name. Raises KeyError for a name that is not registered."""
    module, _, attribute = RUNTIMES[name].partition(":")
    made: Runtime = getattr(importlib.import_module(module), attribute)()
    return made
