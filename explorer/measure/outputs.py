"""The outputs of an artifact on all examples, which its answers under load must agree with. Imports NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.runtimes.staged import Array, StagedExecutor, exits_taken

_BATCH = 50
_DETERMINISM_EXAMPLES = 64
_OUTPUT_TOLERANCE = 1e-2
_CONFIDENCE_TOLERANCE = 1e-3
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """Outputs of an artifact on n examples: outputs [e, n, k] of every exit, exits [n] taken, and answers [n, k] there.

    Outputs of every exit are those as if no example had left early.
    """

    outputs: Array
    exits: NDArray[np.int64]
    answers: Array


def outputs_of(
    executor: StagedExecutor, inputs: Array, batch: int, is_invariant: bool, n_workers: int, known: Array | None
) -> Outputs:
    """Run inputs [n, ...], `n_workers` batches at a time; `known` outputs [e, n, k] are not computed again.

    Where an example's outputs depend on the rest of its batch, the batch is the variant's. Raises ValueError when a
    second run gives other outputs, FloatingPointError for outputs that are not finite.
    """
    size = _BATCH if is_invariant else batch
    _check_determinism(executor, inputs[:_DETERMINISM_EXAMPLES])
    outputs = known
    if outputs is None:
        outputs = np.concatenate(list(_over_batches(executor.all_exits, inputs, size, n_workers)), axis=1)
    if not np.isfinite(outputs).all():
        raise FloatingPointError("the artifact's outputs are not finite numbers")
    if is_invariant or size == 1:
        exits = exits_taken(outputs, executor.threshold, executor.confidence)
        answers = np.take_along_axis(outputs, exits[None, :, None], axis=0)[0]
    else:
        parts = list(_over_batches(executor.classify, inputs, size, n_workers))
        answers = np.concatenate([part for part, _ in parts])
        exits = np.concatenate([part for _, part in parts])
    return Outputs(outputs, exits, answers)


def n_different(answers: Array, exits: Array, which: Array, expected: Outputs, executor: StagedExecutor) -> int:
    """Count the executor's answers [n, k], at exits [n] for the examples `which` [n], that differ from the expected.

    Kernels round differently in batches of other sizes: outputs may differ by 1 % of the largest, and an example may
    take another exit where its confidence is within 0.001 of the threshold.
    """
    outputs = expected.outputs[exits, which]
    scale = np.maximum(1e-6, np.abs(outputs).max(axis=1, keepdims=True))
    is_other = ~(np.abs(answers - outputs) <= _OUTPUT_TOLERANCE * scale).all(axis=1)  # not a number is another one
    left_elsewhere = exits != expected.exits[which]
    if executor.confidence is not None:
        earlier = np.minimum(exits, expected.exits[which])
        margin = np.abs(executor.confidence(expected.outputs[earlier, which]) - executor.threshold)
        left_elsewhere &= margin > _CONFIDENCE_TOLERANCE
    return int((is_other | left_elsewhere).sum())


def _over_batches(call: Callable[[Array], _Made], inputs: Array, batch: int, n_workers: int) -> Iterator[_Made]:
    """Call `call` on each batch, in order, `n_workers` at a time; each call uses the variant's own threads."""
    with ThreadPoolExecutor(n_workers) as pool:
        starts = range(0, len(inputs), batch)
        yield from pool.map(lambda start: call(np.ascontiguousarray(inputs[start : start + batch])), starts)


def _check_determinism(executor: StagedExecutor, inputs: Array) -> None:
    batch = np.ascontiguousarray(inputs)
    if not np.array_equal(executor.all_exits(batch), executor.all_exits(batch), equal_nan=True):
        raise ValueError("the same inputs gave other outputs the second time: switch off dropout and other randomness")
