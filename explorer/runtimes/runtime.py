"""What a runtime is: how it turns a network into files, and files into something that can be executed."""

from __future__ import annotations

import importlib.util
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from explorer.errors import ExplorerError
from explorer.runtimes.staged import Array, Segment

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork


class ExportFailed(ExplorerError):
    """A network cannot be turned into an artifact of this runtime. `kind` is the trial's failure kind."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment as a file. Layers are convolutions and matrix products; `int8_mac_share` is in [0, 1]."""

    file: str
    n_layers: int
    n_int8_layers: int
    int8_mac_share: float


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What is to be exported.

    network       with all its exits, even when the artifact is to have none
    has_exits     False: the early heads are cut away and one segment is left
    quantization  one that the runtime can execute
    calibration   raw uint8 training images [n, c, h, w]
    scratch       a folder of this network alone, which may not exist yet: what other exports of it can use again
    """

    network: StagedNetwork
    has_exits: bool
    quantization: str
    calibration: Array
    scratch: Path

    def shipped(self) -> StagedNetwork:
        """The network as it leaves."""
        return self.network if self.has_exits else self.network.without_exits()


class Runtime(ABC):
    """One way to execute a network. Importing its module imports neither the runtime nor torch.

    name            as in a search space
    packages        the distributions that it needs, whose versions identify it
    modules         what must be importable
    oldest          distributions whose older releases are refused, with the first numbers of the oldest that is not
    quantizations   what it can execute
    provider        what executes the kernels, in the runtime's own words
    loading         the functions that turn files into segments; the first is called with files, threads, quantization.
                    Each stands alone, its imports inside it: their very source is in every bundle's run.py
    """

    name: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    oldest: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    quantizations: frozenset[str]
    provider: str
    loading: tuple[Callable[..., Any], ...]

    def missing(self) -> str | None:
        """Why this runtime cannot be used here, or None."""
        absent = [module for module in self.modules if importlib.util.find_spec(module) is None]
        if absent:
            return f"{self.name} needs {', '.join(absent)}: pip install {' '.join(self.packages)}"
        old = {name: ".".join(map(str, least)) for name, least in self.oldest.items() if _release(name) < least}
        wanted = " ".join(f"'{name}>={least}'" for name, least in old.items())
        return f"{self.name} refuses an older {', '.join(old)}: pip install {wanted}" if old else None

    def software(self) -> dict[str, str]:
        """The versions of its packages."""
        return {package: version(package) for package in self.packages}

    def imports(self, quantization: str) -> tuple[str, ...]:
        """What loading such a program imports: the bare runtime, whose memory is not the model's."""
        return self.modules[:1]

    def is_batch_invariant(self, quantization: str) -> bool:
        """Whether an image's logits do not depend on the images that share its batch."""
        return True

    @abstractmethod
    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """Write one file a segment into `folder`, with a dynamic batch. Called in the builder. Raises ExportFailed."""

    def load(self, files: Sequence[Path], threads: int, quantization: str) -> list[Segment]:
        """The segments, ready to be called, each call on `threads` threads; several threads may call them at once.

        Called in a probe: imports NumPy and the runtime, nothing else.
        """
        loaded: list[Segment] = self.loading[0](files, threads, quantization)
        return loaded

    def requirements(self, quantization: str) -> tuple[str, ...]:
        """The distributions that loading needs for this quantization, of `packages`."""
        return self.packages


def _release(package: str) -> tuple[int, ...]:
    """The numbers that a distribution's version begins with, as (1, 21, 0); () when it is not installed."""
    try:
        found = re.match(r"\d+(\.\d+)*", version(package))
    except PackageNotFoundError:
        return ()
    return tuple(map(int, found[0].split("."))) if found else ()
