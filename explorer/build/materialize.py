"""Materialize a variant as a plain network: width, pruning, recovery, batch norm; each step cached by its content."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from explorer.build import PRUNING_RATIO
from explorer.build.effects import (
    Sizes,
    check_changed,
    check_outputs,
    check_recovered,
    pruning_facts,
    values_text,
)
from explorer.build.network_store import load_network, store_network
from explorer.build.prune import prune
from explorer.build.recover import RecoveryBatches, recover
from explorer.models.network import recalibrate
from explorer.models.sandwich import autocast
from explorer.parameters import PARAMETERS
from explorer.records import Progress, Stage, Variant
from explorer.system.hashing import content_key

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from explorer.models.base import BaseNetwork
    from explorer.models.network import StagedNetwork
    from explorer.tasks.task import Task

_VERSION = 6  # raised whenever the same settings give another network
_RECALIBRATED_ON = 2048
_RECALIBRATION_BATCH = 256
_STORED_WITH = 4  # inputs that are stored with a network, and verified when it is loaded
_PRUNED_ON = 2


@dataclass(frozen=True, slots=True)
class Materialized:
    """A plain network, and its name: the hash of what made it. `pruned` is the effect of pruning, if any."""

    network: StagedNetwork
    key: str
    pruned: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Workbench:
    """The inputs of every variant of a study, and the recovery's batches once they are drawn.

    `inputs` are those [n, ...] of the training examples, of fingerprint `inputs_fingerprint`.
    """

    base: BaseNetwork
    inputs: NDArray[Any]
    inputs_fingerprint: str
    task: Task
    recovery_steps: int
    cache: Path
    on_progress: Callable[[Progress], None]
    stages: list[Stage] = field(default_factory=list)
    _batches: RecoveryBatches | None = None

    def materialize(self, variant: Variant) -> Materialized:
        """Return the plain network of `variant`, with all exits. The executed stages are in `stages`.

        Raises VariantFailed when a transformation did not have its effect.
        """
        self.stages = []
        changed, ratio = variant.key("network"), variant["pruning_ratio"]
        made_of = content_key({"version": _VERSION, "base": self.base.fingerprint, "variant": changed})
        key = content_key(
            {
                "network": made_of,
                "recovery": [self.recovery_steps, self.task.name] if ratio > 0 else None,
                "batch_norm": self.inputs_fingerprint if changed else None,
            }
        )
        outline = _plain(self.base.materialize(variant))
        sizes = Sizes.of(outline)
        network = self._loaded("network", outline, key)
        if network is None:
            network = self._recovered(self._pruned(variant, made_of)) if ratio > 0 else self._unpruned(variant)
            if changed:
                # half the time, and the same accuracy within 0.05 points
                with self._stage("batch norm"), autocast(torch.device("cpu")):
                    # evenly spread, so that every kind of example has its share
                    inputs = self.inputs[:: max(1, len(self.inputs) // _RECALIBRATED_ON)][:_RECALIBRATED_ON]
                    recalibrate(network, inputs, _RECALIBRATION_BATCH)
            self._store(network, key, values_text(changed) or "no transformation")
        return Materialized(network, key, pruning_facts(sizes, Sizes.of(network)) if ratio > 0 else {})

    def _unpruned(self, variant: Variant) -> StagedNetwork:
        """Return the family's network of `variant`. Raises VariantFailed where one of its values changes nothing."""
        with self._stage("width"):
            network = _plain(self.base.materialize(variant))
        for name in variant.key("network").keys() - {PRUNING_RATIO.name}:
            without = self.base.materialize(variant.replaced(**{name: PARAMETERS[name].baseline}))
            check_changed(network, _plain(without), self._first(_STORED_WITH), name, variant[name])
        return network

    def _pruned(self, variant: Variant, key: str) -> StagedNetwork:
        """Return the pruned network, from the cache if it is there. Raises VariantFailed."""
        network = self._loaded("prune", _plain(self.base.materialize(variant)), key)
        if network is None:
            whole, ratio = self._unpruned(variant), variant["pruning_ratio"]
            with self._stage("prune"):
                network = prune(whole, ratio, self._first(_PRUNED_ON))
            self._store(network, key, f"pruning by {ratio:g}")
        return network

    def _loaded(self, stage: str, outline: StagedNetwork, key: str) -> StagedNetwork | None:
        """Load the cached network `key` into `outline`; None when the cache does not have it."""
        started = time.perf_counter()
        network = load_network(outline, self.cache / key)
        if network is not None:
            self.stages.append(Stage(stage, time.perf_counter() - started, is_cached=True))
        return network

    def _store(self, network: StagedNetwork, key: str, after: str) -> None:
        """Cache a network after checking that its outputs are finite. Raises VariantFailed."""
        inputs = self._first(_STORED_WITH)
        check_outputs(network, inputs, self.base.n_outputs, after)
        store_network(network, self.cache / key, inputs)

    def _first(self, n: int) -> Tensor:
        return torch.from_numpy(np.array(self.inputs[:n]))

    def _recovered(self, network: StagedNetwork) -> StagedNetwork:
        if self.recovery_steps == 0:
            return network
        if self._batches is None:
            with self._stage("recovery lessons"):
                whole = self.base.materialize(Variant())
                self._batches = RecoveryBatches.prepare(whole, self.task, self.inputs, self.recovery_steps)
        with self._stage("recover"):
            learnt = recover(network, self._batches, lambda n, total: self.on_progress(Progress("recover", n, total)))
        check_recovered(network, learnt)
        return learnt

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.on_progress(Progress(name))
        started = time.perf_counter()
        yield
        self.stages.append(Stage(name, time.perf_counter() - started))


def _plain(network: StagedNetwork) -> StagedNetwork:
    """Replace parametrizations (weight and spectral norm) by the weights that they compute, in place."""
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            _unparametrize(module)
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                nn.utils.remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                nn.utils.remove_spectral_norm(module, hook.name)
    return network


def _unparametrize(module: nn.Module) -> None:
    """Do as torch's `remove_parametrizations`, which changes a class that the copy shares with its original."""
    lists = dict(module.parametrizations.items())  # type: ignore[union-attr, operator]
    with torch.no_grad():
        values = {name: getattr(module, name).detach().clone() for name in lists}
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        is_trained = any(parameter.requires_grad for parameter in lists[name].parameters())
        module.register_parameter(name, nn.Parameter(value, requires_grad=is_trained))
