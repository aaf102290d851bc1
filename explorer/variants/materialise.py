"""Variant -> plain network, in a fixed order: width, pruning, recovery, batch norm; each kept by what determines it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from explorer.hashing import content_key
from explorer.models.batch_norm import recalibrate
from explorer.records import Progress, Stage, Variant, Width
from explorer.variants.prune import prune
from explorer.variants.recover import Lessons, autocast, recover
from explorer.variants.stored import load_network, store_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explorer.models.network import StagedNetwork

_VERSION = 4  # raised whenever the same settings give another network
_RECALIBRATION_IMAGES = 2048
_RECALIBRATION_BATCH = 256


class BaseNetwork(Protocol):
    """What a variant is made of: the trained base network, whichever family it is of."""

    @property
    def fingerprint(self) -> str:
        """Hash of its weights and architecture."""

    def materialise(self, width: Width) -> StagedNetwork:
        """A plain network of that width, with batch-norm statistics that are right for width 1.0 alone."""


@dataclass(frozen=True, slots=True)
class Materialised:
    """A plain network, and its name: the hash of what made it."""

    network: StagedNetwork
    key: str


@dataclass(slots=True)
class Workbench:
    """What every variant of a study is made with; keeps the recovery's lessons once they are drawn.

    `images` are raw uint8 training images [n, c, h, w], of fingerprint `images_fingerprint`.
    """

    base: BaseNetwork
    images: NDArray[np.uint8]
    images_fingerprint: str
    n_classes: int
    recovery_steps: int
    cache: Path
    on_progress: Callable[[Progress], None]
    stages: list[Stage] = field(default_factory=list)
    _lessons: Lessons | None = None

    def materialise(self, variant: Variant) -> Materialised:
        """The plain network of `variant`, all exits kept. The stages that it took are in `stages`."""
        self.stages = []
        key = content_key({"version": _VERSION, "base": self.base.fingerprint, "width": variant.to_json()["width"]})
        is_changed = not _is_widest(variant.width)
        network: StagedNetwork | None = None
        if variant.pruning_ratio > 0:
            network, pruned_key = self._pruned(variant, key)
            if network is not None:
                steps = {"recovery_steps": self.recovery_steps, "images": self.images_fingerprint}
                key, is_changed = content_key({"pruned": pruned_key, **steps}), True
        final_key = content_key({"network": key, "batch_norm": self.images_fingerprint if is_changed else None})
        started = time.perf_counter()
        kept = load_network(self.base.materialise(variant.width), self.cache / final_key)
        if kept is not None:
            self.stages.append(Stage("network", time.perf_counter() - started, is_cached=True))
            return Materialised(kept, final_key)
        network = self._recovered(network) if network is not None else self._narrowed(variant)
        if is_changed:
            with self._stage("batch norm"), autocast():  # half the time, and the same accuracy within 0.05 points
                recalibrate(network, self._recalibration_images(), _RECALIBRATION_BATCH)
        store_network(network, self.cache / final_key)
        return Materialised(network, final_key)

    def _narrowed(self, variant: Variant) -> StagedNetwork:
        with self._stage("width"):
            return self.base.materialise(variant.width)

    def _pruned(self, variant: Variant, width_key: str) -> tuple[StagedNetwork | None, str]:
        """The pruned network (None: no channel could go), from the cache if it is there."""
        key = content_key({"width": width_key, "pruning_ratio": variant.pruning_ratio})
        started = time.perf_counter()
        kept = load_network(self.base.materialise(variant.width), self.cache / key)
        if kept is not None:
            self.stages.append(Stage("prune", time.perf_counter() - started, is_cached=True))
            return kept, key
        network = self._narrowed(variant)
        with self._stage("prune"):
            pruned = prune(network, variant.pruning_ratio, self.images.shape[1:], self.n_classes)
        if pruned is not None:
            store_network(pruned, self.cache / key)
        return pruned, key

    def _recovered(self, network: StagedNetwork) -> StagedNetwork:
        if self.recovery_steps == 0:
            return network
        if self._lessons is None:
            with self._stage("recovery lessons"):
                self._lessons = Lessons.prepare(self.base.materialise(1.0), self.images, self.recovery_steps)
        with self._stage("recover"):
            return recover(network, self._lessons, lambda n, total: self.on_progress(Progress("recover", n, total)))

    def _recalibration_images(self) -> NDArray[np.uint8]:
        """Evenly spread over the training images, so that every class has its share."""
        return self.images[:: max(1, len(self.images) // _RECALIBRATION_IMAGES)][:_RECALIBRATION_IMAGES]

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.on_progress(Progress(name))
        started = time.perf_counter()
        yield
        self.stages.append(Stage(name, time.perf_counter() - started))


def _is_widest(width: Width) -> bool:
    return set(width) == {1.0} if isinstance(width, tuple) else width == 1.0
