"""The manifest of a bundle: its content, its measurements and its provenance, without private information.

The fields are an allow-list: nothing else is written, and a manifest with other fields is refused. The seal, a SHA-256
of the content, detects damage in every byte. It does not prevent forgery, which takes a signature.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from explorer.errors import NotAvailable, RuntimeNotAvailable
from explorer.parameters import PARAMETERS
from explorer.records import Variant
from explorer.runtimes.int8_range import Int8Range
from explorer.runtimes.runtime import RUNTIMES
from explorer.study.vocabulary import vocabulary
from explorer.tasks.task import TASKS, TensorSpec, task_named
from explorer.typed_json import error_text

_OPEN = "0" * 64
_SEAL = re.compile(rb'"seal": ?"([0-9a-f]{64})"')


def with_checksum(text: str) -> str:
    """Return the JSON of a manifest, whose seal is still 64 zeros, with its seal."""
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return text.replace(f'"seal": "{_OPEN}"', f'"seal": "{digest}"', 1)


def has_its_checksum(content: bytes) -> bool:
    """Return whether the seal in `content` is that of the other bytes."""
    found = _SEAL.search(content)
    if found is None:
        return False
    blank = content[: found.start(1)] + _OPEN.encode() + content[found.end(1) :]
    return hashlib.sha256(blank).hexdigest().encode() == found[1]


def first_error(error: ValidationError) -> tuple[str, str]:
    """Return the dotted name of the first invalid field, and what is wrong with it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])), error_text(first)


FORMAT: Literal[2] = 2
MANIFEST = "manifest.json"
SAMPLES = "samples.npz"
MODEL = "model"
"""The folder of the artifact's measured files."""
LIB = "lib"
"""The folder of the code that was measured, which run.py loads."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=100)]  # no "..", too
Count = Annotated[int, Field(ge=0, le=2**53)]
Number = Annotated[int, Field(ge=1, le=2**53)]


class _Frozen(BaseModel):
    """A strict model: no other keys, no conversions, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Metric(_Frozen):
    """A measured number: value, ends of its 95 % interval and number of samples; or why it is unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: Count | None = None
    why: str | None = None

    @model_validator(mode="after")
    def _has_a_value_or_a_reason(self) -> Self:
        if (self.value is None) == (self.why is None):
            raise ValueError("expected a value, or null and why")
        return self

    @model_serializer
    def _as_in_every_json(self) -> dict[str, float | int | str | None]:
        """Return what `explorer.records.Measurement.to_json` returns."""
        if self.value is None:
            return {"value": None, "why": self.why}
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def read_variant(values: object) -> Variant:
    """Return the variant of a JSON object or of a variant.

    Raises ValueError unless every parameter is declared and allowed, and those of every model are there.
    """
    if not isinstance(values, Mapping) or not PARAMETERS.keys() >= values.keys():
        raise ValueError(f"expected an object of the parameters {', '.join(PARAMETERS)}")
    variant, of_every_model = Variant.from_json(values), {spec.name for spec in vocabulary().parameters}
    for name, spec in PARAMETERS.items():
        if name in of_every_model and name not in values:
            raise ValueError(f"variant.{name}: expected a value, got none")
        if expected := spec.expected(variant[name]):
            raise ValueError(f"variant.{name}: {expected}, got {variant[name]!r}"[:200])
    return variant


VariantFacts = Annotated[Variant, PlainValidator(read_variant), PlainSerializer(Variant.to_json)]


class Chosen(_Frozen):
    """The trial of the study, and how it was chosen, in words. `is_feasible`: it satisfies the study's constraints.

    `invalid` are the reasons why its measurement is not valid; empty: it is.
    """

    study: str
    trial: Count
    how: str
    is_feasible: bool
    is_on_front: bool
    invalid: list[str] = []


class Confirmed(_Frozen):
    """Confirmed values: medians over `rounds` fresh processes, with intervals.

    `probability` is that of membership in the front; `ties` are trials without a significant difference in any
    objective.
    """

    rounds: Number
    metrics: dict[str, Metric]
    probability: Annotated[float, Field(ge=0, le=1)] | None
    ties: Annotated[list[Count], Field(max_length=1000)]


class Normalization(_Frozen):
    """The normalization inside of the model: (pixel / 255 - mean) / std, with mean and std per channel.

    `stated` is the search space's `input`; None: by the network's training images.
    """

    stated: Annotated[str, Field(max_length=1000)] | None
    mean: Annotated[list[float], Field(min_length=1, max_length=16)]
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=16)]


class TaskFacts(_Frozen):
    """The task, and what it knows of the data, such as the names of classes."""

    name: Name
    facts: dict[str, JsonValue]


class Tensor(_Frozen):
    """A tensor of the model: its type as NumPy calls it, and its shape after a batch axis of any length."""

    name: Name
    dtype: Literal["uint8", "int32", "int64", "float32"]
    shape: Annotated[list[Annotated[int, Field(ge=1, le=2**24)]], Field(min_length=1, max_length=8)]

    @property
    def spec(self) -> TensorSpec:
        """The same as a specification."""
        return TensorSpec(self.name, self.dtype, tuple(self.shape))


class Execution(_Frozen):
    """How the model is executed: `packages` maps distributions to the measured versions.

    `n_exits` counts the final one; with one exit the threshold has no effect. `int8_range` is the range of the weights
    where it matters to the processor (see explorer.runtimes.int8_range), None elsewhere and where it was not recorded.
    `plugin` is the package that has the runtime's plugin.
    """

    runtime: str
    plugin: Name
    provider: str
    quantization: str
    int8_range: Int8Range | None = None
    packages: dict[str, str]
    threads: Number
    exit_threshold: Annotated[float, Field(gt=0, le=1)]
    n_exits: Number
    is_batch_invariant: bool

    @property
    def is_staged(self) -> bool:
        """Whether an example may be decided before the last segment."""
        return self.n_exits > 1


class Samples(_Frozen):
    """samples.npz: the first `n` validation examples and what was measured on them.

    inputs [n, ...], targets [n, ...], outputs [n_exits, n, k] float32 of every exit, exits [n] that were taken, answers
    [n, k] the outputs there. Reproduced outputs must lie within `tolerance` of these, relative to the largest of them
    (or 1 if that is larger), and examples whose decision cannot change within it must get the same one. The tolerance
    is the runtime's: a verification refuses any other.
    """

    n: Number
    tolerance: Annotated[float, Field(gt=0)]


class DataFacts(_Frozen):
    """The data set of the quality, with fingerprints of its source and of its splits."""

    name: str
    kind: str
    fingerprint: str
    splits: str
    n_training: Count
    n_validation: Count
    n_test: Count


class Device(_Frozen):
    """The device of the measurement."""

    processor: str
    architecture: str
    instructions: list[str]
    n_cores: Count
    memory_mib: Count
    system: str


class Provenance(_Frozen):
    """Origin of the model: the study's whole search space; `weights` is the fingerprint of the base network."""

    created: str
    device: Device
    software: dict[str, str | None]
    data: DataFacts
    weights: str
    search_space_sha256: Sha256
    search_space: dict[str, JsonValue]
    seed: Annotated[int, Field(ge=-(2**64), le=2**64)]
    artifact: str


class FileFacts(_Frozen):
    """A file of the bundle."""

    sha256: Sha256
    bytes: Count


_ON_TEST = "test_"


class Manifest(_Frozen):
    """manifest.json. `files` are all others of the bundle, by their path with forward slashes.

    `metrics` are of the measurement whose outputs are in samples.npz; their quality is that of the validation examples.
    `confirmed` is None where the trial was not confirmed. `test_quality` is that of the test split, which influenced no
    choice, by metric; in JSON each is a key of its own, such as `test_accuracy`. `input_facts` are what the task says
    of its input beyond its type and shape; `normalization` is part of the model, not of preprocessing, and None where
    the study does not record it. `seal`: see `with_checksum`.
    """

    format: Literal[2]
    seal: Sha256 = "0" * 64
    name: Name
    chosen: Chosen
    task: TaskFacts
    variant: VariantFacts
    metrics: dict[str, Metric]
    confirmed: Confirmed | None = None
    test_quality: dict[str, Metric]
    exit_shares: list[float]
    inputs: Annotated[list[Tensor], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[Tensor], Field(min_length=1, max_length=1)]
    input_facts: dict[str, JsonValue]
    normalization: Normalization | None = None
    execution: Execution
    samples: Samples
    provenance: Provenance
    files: Annotated[dict[str, FileFacts], Field(min_length=1, max_length=1000)]

    @model_validator(mode="before")
    @classmethod
    def _gather_test_quality(cls, values: Any) -> Any:
        """Gather the keys `test_<metric>` of the JSON."""
        if not isinstance(values, dict) or "test_quality" in values:
            return values
        on_test = {name: value for name, value in values.items() if name.startswith(_ON_TEST)}
        others = {name: value for name, value in values.items() if name not in on_test}
        return {**others, "test_quality": {name.removeprefix(_ON_TEST): value for name, value in on_test.items()}}

    @model_serializer(mode="wrap")
    def _spread_test_quality(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the fields with a key `test_<metric>` for each metric of the test split, in its place."""
        spread: dict[str, Any] = {}
        for name, value in serialized(self).items():
            spread |= {f"{_ON_TEST}{m}": one for m, one in value.items()} if name == "test_quality" else {name: value}
        return spread

    @model_validator(mode="after")
    def _has_one_mean_a_channel(self) -> Self:
        known = self.normalization
        if known is not None and not len(known.mean) == len(known.std) == self.input.shape[0]:
            raise ValueError("expected one mean and one std a channel")
        return self

    @property
    def input(self) -> Tensor:
        """The model's one input."""
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The model's one output: of the exit that each example took."""
        return self.outputs[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the output's elements; none where they have no names."""
        return task_named(self.task.name).labels(self.task.facts)


def require_plugins(facts: Mapping[str, Any]) -> None:
    """Require that the runtime and the task that the JSON of a manifest names are registered here.

    Where they are not, their parameters and facts are unknown, too: this comes before any other check of the content.
    Raises RuntimeNotAvailable, NotAvailable; names that are no texts are left to the other checks.
    """
    execution, task = ({**one} if isinstance(one := facts.get(key), dict) else {} for key in ("execution", "task"))
    for what, name, registry, plugin, error in (
        ("runtime", execution.get("runtime"), RUNTIMES, execution.get("plugin"), RuntimeNotAvailable),
        ("task", task.get("name"), TASKS, None, NotAvailable),
    ):
        if isinstance(name, str) and name not in registry:
            package = f", according to the manifest {str(plugin)[:100]!r}" if plugin else ""
            raise error(
                f"the bundle needs the {what} {name[:100]!r}, which is not registered here, where there are "
                f"{', '.join(registry)}: install the package that has it{package}"
            )


def check_task(manifest: Manifest) -> None:
    """Raise ValueError unless the task's facts, and the output, are those of a task of that name."""
    task, facts = task_named(manifest.task.name), manifest.task.facts
    try:
        task.check(facts)
    except ValueError as error:
        raise ValueError(f"it has other facts than the task {task.name}: {error}") from error
    expected = ("float32", (task.n_outputs(facts),))
    if (manifest.output.dtype, manifest.output.spec.shape) != expected:
        raise ValueError(f"expected an output of {manifest.task.name}, {expected}, got {manifest.output}")
