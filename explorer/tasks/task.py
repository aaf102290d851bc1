"""The Task interface: what is asked of a network, how well it does, how a file becomes an input and an output is shown.

A task is stateless; what it needs to know of the data is in its `facts`, JSON-ready, which study and bundle keep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.errors import NotAvailable
from explorer.metrics import METRICS, Metric
from explorer.observation import Section as Section
from explorer.records import Measurement
from explorer.system.plugins import Registry

if TYPE_CHECKING:
    from torch import Tensor

TASKS = Registry("tasks", {"classification": "explorer.tasks.classification:Classification"})

DEFAULT_TASK = "classification"

DTYPES = ("uint8", "int32", "int64", "float32")
"""The types of tensors that go into a network or come out of it, as NumPy calls them."""
_MOST_AXES, _LONGEST_AXIS = 8, 2**24

Array = NDArray[Any]
Facts = Mapping[str, Any]


def task_named(name: str) -> Task:
    """Return the task of that name.

    Raises KeyError for a name that is not registered, NotAvailable for a plugin that does not load, or has a metric of
    another's name.
    """
    task = _made(name)
    for metric in task.metrics:
        if METRICS.get(metric.name, metric) != metric:
            raise NotAvailable(
                f"the task {name!r} has a metric {metric.name!r}, and there is another of that name: rename the "
                f"metric, or uninstall the package {TASKS.package(name)}"
            )
    return task


def survey() -> tuple[dict[str, Task], dict[str, str]]:
    """Return every task that loads, by name, and of every other one why not."""
    return TASKS.survey(_made)


def _made(name: str) -> Task:
    return TASKS.make(name, Task, lambda made: made.metrics)  # type: ignore[type-abstract]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named tensor of one example: the NumPy name of its type, and its shape without the batch axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def item_bytes(self) -> int:
        """The bytes of one element."""
        return np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """Return `{"name", "dtype", "shape"}`."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, values: Any) -> TensorSpec:
        """Return the specification of `to_json`'s values. Raises ValueError for anything else."""
        if not isinstance(values, dict) or values.keys() != {"name", "dtype", "shape"}:
            raise ValueError(f"expected a tensor's name, dtype and shape, got {str(values)[:200]}")
        name, dtype, shape = values["name"], values["dtype"], values["shape"]
        is_shape = isinstance(shape, list) and len(shape) <= _MOST_AXES
        if not is_shape or not all(type(size) is int and 1 <= size <= _LONGEST_AXIS for size in shape):
            raise ValueError(f"expected the shape of a tensor, got {str(shape)[:200]}")
        if not isinstance(name, str) or dtype not in DTYPES:
            raise ValueError(f"expected a name and one of {', '.join(DTYPES)}, got {str((name, dtype))[:200]}")
        return cls(name, dtype, tuple(shape))


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples of a task, as files that a process with NumPy alone reads.

    inputs, targets  .npy files of arrays [n, ...]
    fingerprint      identifies the inputs: outputs on inputs of equal fingerprints are computed once
    task, facts      the task's name, and its facts
    """

    inputs: Path
    targets: Path
    fingerprint: str
    task: str
    facts: Facts

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**asdict(self), "inputs": str(self.inputs), "targets": str(self.targets), "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Examples:
        """Return the examples of `to_json`'s values. Raises KeyError, TypeError."""
        return cls(**{**values, "inputs": Path(values["inputs"]), "targets": Path(values["targets"])})


@dataclass(frozen=True, slots=True)
class Quality:
    """A quality metric and how it is computed, from outputs [n, k] and targets [n, ...].

    scores  returns the score of each example [n]; the metric is their mean
    of_set  returns the metric of all examples together, for one that is no mean
    """

    metric: Metric
    scores: Callable[[Array, Array], NDArray[np.float64]] | None = None
    of_set: Callable[[Array, Array], float] | None = None

    def measure(self, outputs: Array, targets: Array) -> Measurement:
        """Return the metric with its 95 % interval; outputs [n, k], targets [n, ...].

        Wilson's interval for a share, Student's for another mean, percentiles of seeded bootstrap samples for a metric
        of the set (Efron & Tibshirani 1993, chapter 13). Raises ValueError where neither function is given.
        """
        if self.scores is not None:
            found = self.scores(outputs, targets)
            is_share = self.metric.bounds == (0, 1) and bool(np.isin(found, (0, 1)).all())
            return intervals.share(int(found.sum()), len(found)) if is_share else intervals.mean(found)
        if self.of_set is None:
            raise ValueError(f"the quality {self.metric.name!r} needs `scores` or `of_set`")
        n, random = len(targets), np.random.RandomState(0)
        draws = (random.randint(0, n, n) for _ in range(_N_BOOTSTRAP))
        drawn = [self.of_set(outputs[chosen], targets[chosen]) for chosen in draws]
        low, high = np.percentile(drawn, (2.5, 97.5))
        value = float(self.of_set(outputs, targets))
        return Measurement(value, min(value, float(low)), max(value, float(high)), n)


_N_BOOTSTRAP = 200


@dataclass(frozen=True, slots=True)
class Reference:
    """A value of the main metric that needs no network, for comparison with the baseline's.

    `clause` is the beginning of a sentence that ends with the value, such as "the mean every time gives"; by default
    "<name> is".
    """

    name: str
    value: float
    clause: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return `{"name", "value", "clause"}`."""
        return {"name": self.name, "value": self.value, "clause": self.clause or f"{self.name} is"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Reference:
        """Return the reference of `to_json`'s values. Raises KeyError, TypeError."""
        return cls(str(values["name"]), float(values["value"]), str(values["clause"]))


class Task(ABC):
    """What is asked of a network. Importing its module imports NumPy at most.

    name         as in a search space and in the registry
    qualities    its quality metrics, the one that matters most first; their names are unique among all tasks
    has_pixels   whether inputs are images uint8 [c, h, w]: then a user's own network gets them normalized as the search
                 space's `input` says, and the recovery after pruning shifts and flips them
    input_name, output_name   what the tensors of a network are called, in files and requests
    class_name   the name of the class in a bundle's run.py
    noun         what an example is called in sentences, singular and plural
    output_noun  what outputs are called, and what the numbers of one of them stand for
    data         a data set of the task's own, with the functions of `explorer.data.source.DatasetPlugin`; a search
                 space names it like the task
    verb         what the network does with an example, in sentences and as a path of the model server; its participle
    file_types   the media types of the files that are read, for a browser; empty: any
    """

    name: str
    qualities: tuple[Quality, ...]
    has_pixels: bool = False
    input_name: str = "inputs"
    output_name: str = "outputs"
    class_name: str = "Model"
    noun: tuple[str, str] = ("example", "examples")
    output_noun: tuple[str, str] = ("outputs", "numbers")
    verb: tuple[str, str] = ("answer", "answered")
    file_types: str = ""
    data: object | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The quality metrics, the one that matters most first."""
        return tuple(quality.metric for quality in self.qualities)

    @property
    def main_metric(self) -> Metric:
        """The quality metric that matters most."""
        return self.metrics[0]

    @property
    def files(self) -> ModuleType:
        """The module that reads inputs from files and shows outputs; by default for arrays of numbers.

        It is part of every bundle, byte for byte, so it imports nothing of this package. It defines
        `read(file, shape) -> input [*shape]`, which raises `UnreadableFile`, a ValueError, with a sentence;
        `read_upload(content, shape)`, the same for bytes from an untrusted client, whose error has `is_too_large`;
        `SUFFIXES`, lower-case ends of the names of such files in a folder; `answer(output [k], facts)`, a JSON-ready
        mapping; and `text(answer)`, one line, with the `exit` taken where a bundle's program adds it to the answer. It
        may define `confidence(outputs [..., k]) -> [...]`: how good outputs are. A network with exits answers with the
        first whose confidence reaches the variant's `exit_threshold`; without that function, with the last one.
        Importing it imports NumPy alone.
        """
        from explorer.tasks import array_files

        return array_files

    @property
    def confidence(self) -> Callable[[Array], Array] | None:
        """The confidence of outputs [..., k] -> [...] by which inputs take early exits; None: they take none."""
        return getattr(self.files, "confidence", None)

    def confidence_within(self, outputs: Array, shift: float) -> tuple[Array, Array]:
        """Return the least and the largest confidence [n] when no element of outputs [n, k] moves by more than `shift`.

        By default nothing is known of it.
        """
        return np.full(len(outputs), -np.inf), np.full(len(outputs), np.inf)

    @abstractmethod
    def n_outputs(self, facts: Facts) -> int:
        """Return the length k of one output."""

    def input_facts(self, spec: TensorSpec) -> Mapping[str, Any]:
        """Return what an input's values mean beyond type and shape, JSON-ready, as bundles state it."""
        return {}

    def check(self, facts: Facts, targets: Array | None = None) -> None:
        """Raise ValueError, which says what they are, where facts or targets [n, ...] are not those of this task.

        Both may come from an untrusted source.
        """
        if facts:
            raise ValueError(f"expected none, got {', '.join(facts)[:200]}")

    def strata(self, targets: Array) -> NDArray[np.int64] | None:
        """Return a number per example [n], each of which has its share in every split; None: splits are random."""
        return None

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """Return the names of what an output [k] decides between, in the order of its elements; none: of nothing."""
        return ()

    def details(self, output: Array, facts: Facts) -> Mapping[str, Any]:
        """Return what the model server answers about one output [k], JSON-ready."""
        return {"answer": self.files.answer(output, facts)}

    def input_summary(self, shape: tuple[int, ...], facts: Facts) -> str:
        """Return in words what goes in and comes out."""
        return f"{' × '.join(map(str, shape))}; {self.n_outputs(facts)} {self.output_noun[1]}"

    def description(self, facts: Facts) -> str:
        """Return what a network of this task is, as the beginning of a sentence."""
        return f"A network that gives {self.n_outputs(facts)} {self.output_noun[1]} for each {self.noun[0]}"

    def target(self, facts: Facts) -> TensorSpec:
        """Return what the target of one example is; by default a value for each number of an output."""
        return TensorSpec("target", "float32", (self.n_outputs(facts),))

    def scores(self, outputs: Array, targets: Array) -> Mapping[str, NDArray[np.float64]]:
        """Return a score [n] per example for each metric that is a mean over examples.

        Outputs [n, k], targets [n, ...]. Studies compare variants by these in pairs: the same examples of both.
        """
        return {q.metric.name: q.scores(outputs, targets) for q in self.qualities if q.scores is not None}

    def measure(self, outputs: Array, targets: Array) -> dict[str, Measurement]:
        """Return every quality metric with its 95 % interval; outputs [n, k], targets [n, ...]."""
        return {quality.metric.name: quality.measure(outputs, targets) for quality in self.qualities}

    def predictions(self, outputs: Array) -> NDArray[np.int64]:
        """Return what each output [n, k] predicts, as numbers [n]: all 0 where an output is a value by itself."""
        return np.zeros(len(outputs), dtype=np.int64)

    def settled(self, outputs: Array, shift: float) -> NDArray[np.bool_]:
        """Return for each output [n, k] whether it decides and scores the same when no element moves by more than
        `shift`; none is where that is not known.
        """
        return np.zeros(len(outputs), dtype=np.bool_)

    def fault_of_quality(self, name: str, stated: Measurement, outputs: Array, targets: Array) -> str:
        """Return why `stated` cannot be the metric `name` of `stated.n` examples, in a sentence; empty: it can.

        Outputs [m, k] and targets [m, ...] are of some of these examples; none of them where m is 0.
        """
        return ""

    def reference(self, metric: Metric, facts: Facts) -> float:
        """Return the value of a maximized metric that still counts, for the hypervolume."""
        return 0.0

    def references(self, targets: Array, facts: Facts) -> tuple[Reference, ...]:
        """Return what the main metric is without a network, on targets [n, ...]; none where nothing is known."""
        return ()

    def suspicions(self, facts: Facts) -> tuple[str, ...]:
        """Return what else may be wrong with a user's own network that is no better than the references, as clauses."""
        return ()

    def sections(self, outputs: Array, targets: Array, facts: Facts) -> tuple[Section, ...]:
        """Return the tables that a trial's details show beyond its metrics; outputs [n, k], targets [n, ...]."""
        return ()

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of outputs [b, k] on targets [b, ...], or on `lessons` [b, k], a scalar."""

    def lessons(self, outputs: Tensor) -> Tensor:
        """Return what a pruned network is trained on to recover, [b, k], given the whole network's outputs [b, k]."""
        return outputs
