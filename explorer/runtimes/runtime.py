"""The Runtime interface, and the runtimes by name: how a network becomes files that can be executed."""

from __future__ import annotations

import importlib.util
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Literal

from explorer.errors import ExplorerError, RuntimeNotAvailable
from explorer.parameters import Names, ParameterSpec, check_specs, require_agreement
from explorer.records import Variant
from explorer.runtimes.int8_range import Int8Range, range_here
from explorer.runtimes.staged import Array, Segment
from explorer.system.plugins import Registry
from explorer.tasks.task import TensorSpec

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork


RUNTIMES = Registry(
    "runtimes",
    {
        "eager": "explorer.runtimes.eager:Eager",
        "onnxruntime": "explorer.runtimes.onnxruntime:OnnxRuntime",
    },
)

Trust = Literal["checked", "native"]
"""Why a stranger's files may be loaded: `checked`, this package reads the whole file first; `native`, nothing can be
read of a shared library, so only what a named signer signed is loaded."""


def runtime(name: str) -> Runtime:
    """Return the runtime of this name.

    Raises RuntimeNotAvailable for a name that is not registered, NotAvailable for a plugin that does not load, or has a
    parameter that contradicts another of its name.
    """
    if name not in RUNTIMES:
        raise RuntimeNotAvailable(
            f"the runtime {name[:100]!r} is not registered here, where there are {', '.join(RUNTIMES)}: install the "
            "package that has it"
        )
    plugin = _made(name)
    require_agreement(f"the runtime {name!r} of the package {RUNTIMES.package(name)}", plugin.parameters)
    return plugin


def survey() -> tuple[dict[str, Runtime], dict[str, str]]:
    """Return every runtime that can be used, by name, and of every other one why not."""
    return RUNTIMES.survey(runtime)


def _made(name: str) -> Runtime:
    return RUNTIMES.make(name, Runtime, lambda made: check_specs(made.parameters))  # type: ignore[type-abstract]


def declared() -> Iterator[tuple[ParameterSpec, bool]]:
    """Yield the parameters of all runtimes, then those of single ones, and whether they are built in."""
    usable, faults = RUNTIMES.survey(_made)
    quantization = ParameterSpec(
        name="quantization",
        phase="export",
        baseline="none",
        allowed=Names(("none", "dynamic_int8", "static_int8"), "a quantization"),
        summary="none is float32. The int8 kinds compute scales while running (dynamic) or beforehand, on "
        "calibration inputs (static).",
        example="[none, dynamic_int8, static_int8]",
    )
    executor = ParameterSpec(
        name="runtime",
        phase="export",
        baseline="eager",
        allowed=Names(tuple(usable), "a runtime", faults),
        summary="What executes the network. A pair of runtime and quantization that cannot be executed is never "
        "proposed.",
        example="[eager, onnxruntime]",
    )
    yield from ((spec, True) for spec in (quantization, executor))
    for name, plugin in usable.items():
        yield from ((spec, RUNTIMES.is_built_in(name)) for spec in plugin.parameters)


def foreign_parameters(runtimes: Collection[object]) -> frozenset[str]:
    """Return the names of the parameters that only other runtimes than these have."""
    usable, _ = survey()
    own = {spec.name for name, plugin in usable.items() if name in runtimes for spec in plugin.parameters}
    return frozenset(spec.name for plugin in usable.values() for spec in plugin.parameters) - own


def runtime_modules() -> frozenset[str]:
    """Return the modules that registered runtimes execute models with: a probe loads those of one runtime alone."""
    return frozenset(module for plugin in survey()[0].values() for module in plugin.modules)


FLOAT_TOLERANCE = 1e-4
"""Largest difference of float32 logits from the torch network's, relative to the largest logit (or 1, if larger)."""

INT8_TOLERANCE = 0.05
"""The same for int8 on another processor, whose kernels (VNNI or not) round differently: one step is a percent."""


BASELINE = Variant()


class ExportFailed(ExplorerError):
    """A network cannot be exported to this runtime. `kind` is the trial's failure kind."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment's file. Layers are convolutions and matrix products; `int8_mac_share` is in [0, 1]."""

    file: str
    n_layers: int
    n_int8_layers: int
    int8_mac_share: float


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What is exported.

    network       with all its exits, even when the artifact has none
    has_exits     False: the early heads are removed and one segment remains
    quantization  one that the runtime supports
    calibration   raw training inputs [n, ...]
    scratch       a folder of this network alone, possibly not yet created, for what its exports share
    int8_range    the range of int8 weights where their products could saturate
    input_name    what the network's input is called
    variant       the values of the runtime's own parameters
    """

    network: StagedNetwork
    has_exits: bool
    quantization: str
    calibration: Array
    scratch: Path
    int8_range: Int8Range = field(default_factory=range_here)
    input_name: str = "inputs"
    variant: Variant = BASELINE

    @property
    def input(self) -> TensorSpec:
        """The network's input, as the calibration's."""
        return TensorSpec(self.input_name, self.calibration.dtype.name, self.calibration.shape[1:])

    def shipped(self) -> StagedNetwork:
        """Return the network that is exported."""
        return self.network if self.has_exits else self.network.without_exits()


class Runtime(ABC):
    """One way to execute a network. Importing its module imports neither the runtime nor torch.

    name            as in a search space
    packages        required distributions, whose versions identify the runtime
    modules         modules that must be importable
    oldest          distributions with the first numbers of their oldest supported release
    exporters       distributions that take part in the export, beside `packages`
    quantizations   supported values of the parameter `quantization`, which this package declares for all runtimes
    parameters      those of this runtime alone, known to the search spaces that name it. In a variant of another
                    runtime they have their baseline values
    provider        what executes the kernels, as the runtime calls it
    suffix          of a segment's file, with the dot; files called `.onnx` are ONNX models without external data, and
                    can be exported as one
    trust           see `Trust`
    loading         the module with `load_segments(files, threads, quantization)`, as `load`, and with `PARAMETERS`, the
                    names of those of `parameters` that are its further arguments, where there are any. It is part of
                    every bundle, byte for byte, so it imports nothing of this package, and the runtime only inside
                    functions
    """

    name: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    oldest: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    exporters: tuple[str, ...] = ("torch",)
    quantizations: frozenset[str]
    parameters: tuple[ParameterSpec, ...] = ()
    provider: str
    suffix: str
    trust: Trust
    loading: ModuleType

    def missing(self) -> str | None:
        """Return why this runtime cannot be used here, or None."""
        absent = [module for module in self.modules if importlib.util.find_spec(module) is None]
        if absent:
            return f"{self.name} needs {', '.join(absent)}: pip install {' '.join(self.packages)}"
        old = {name: ".".join(map(str, least)) for name, least in self.oldest.items() if _release(name) < least}
        wanted = " ".join(f"'{name}>={least}'" for name, least in old.items())
        return f"{self.name} refuses an older {', '.join(old)}: pip install {wanted}" if old else None

    def software(self) -> dict[str, str]:
        """Return the versions of its packages."""
        return {package: version(package) for package in self.packages}

    def imports(self, quantization: str) -> tuple[str, ...]:
        """Return the modules that loading such a program imports; their memory is the runtime's and not the model's."""
        return self.modules[:1]

    def is_batch_invariant(self, quantization: str) -> bool:
        """Return whether an image's logits are independent of the other images in its batch."""
        return True

    def saturates(self, quantization: str) -> bool:
        """Return whether kernels clip products of full-range int8 weights on processors without int8 dot products."""
        return False

    def largest_int8_weight(self, files: Sequence[Path]) -> int:
        """Return the largest magnitude of an int8 weight in the segments' files where `saturates` is true; else 0."""
        return 0

    def tolerance(self, quantization: str) -> float:
        """Return how far logits on another machine may differ, relative to the largest logit (or 1, if larger)."""
        return FLOAT_TOLERANCE if quantization == "none" else INT8_TOLERANCE

    @abstractmethod
    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """Write one file per segment, called `segment_name(index)`, into `folder`, with a dynamic batch.

        Runs in the builder. Raises ExportFailed.
        """

    @abstractmethod
    def check(self, content: bytes) -> None:
        """Check a segment's file from an untrusted source, before the runtime opens it.

        Raises UnsafeFile unless loading it reads no other file and runs no code of its own; a `native` runtime can only
        refuse what is not its kind of file.
        """

    def segment_name(self, index: int) -> str:
        """Return the name of a segment's file."""
        return f"segment_{index}{self.suffix}"

    def load(self, files: Sequence[Path], threads: int, quantization: str, own: Variant = BASELINE) -> list[Segment]:
        """Return the segments, features [b, ...] -> outputs [b, ...], each on `threads` threads and safe for callers in
        several threads.

        `own` gives the values of the runtime's own parameters. Runs in a probe: imports NumPy and the runtime.
        """
        arguments = {name: own[name] for name in getattr(self.loading, "PARAMETERS", ())}
        loaded: list[Segment] = self.loading.load_segments(files, threads, quantization, **arguments)
        return loaded

    def requirements(self, quantization: str) -> tuple[str, ...]:
        """Return the distributions of `packages` that loading needs for this quantization."""
        return self.packages


def _release(package: str) -> tuple[int, ...]:
    """Return the leading numbers of a distribution's version, as (1, 21, 0); () when it is not installed."""
    try:
        found = re.match(r"\d+(\.\d+)*", version(package))
    except PackageNotFoundError:
        return ()
    return tuple(map(int, found[0].split("."))) if found else ()
