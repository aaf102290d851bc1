"""The manifest of a bundle: what is in it, what was measured, and what made it; nothing of the user's surroundings.

The fields are an allow-list: what is not named here is in no manifest, and a manifest with anything else is refused.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_serializer, model_validator

FORMAT: Literal[1] = 1
MANIFEST = "manifest.json"
SAMPLES = "samples.npz"
MODEL = "model"
"""The folder of the artifact's files, as they were measured."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=100)]  # no "..", too
Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    """Strict: no other keys, no conversions, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Metric(_Frozen):
    """A measured number: its value, the ends of its 95 % interval and the number of samples; or why it is not known."""

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
        """As `explorer.records.Measurement.to_json` has it."""
        if self.value is None:
            return {"value": None, "why": self.why}
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


class VariantFacts(_Frozen):
    """The variant, as `explorer.records.Variant` has it."""

    width: float | Annotated[list[float], Field(max_length=64)]
    pruning_ratio: Annotated[float, Field(ge=0, lt=1)]
    quantization: str
    runtime: str
    exit_threshold: Annotated[float, Field(gt=0, le=1)]
    batch_size: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]


class Chosen(_Frozen):
    """The trial of the study, and how it was chosen, in words. `is_feasible`: it satisfies the study's constraints.

    `invalid` says why its measurement cannot be believed; empty: it can.
    """

    study: str
    trial: Count
    how: str
    is_feasible: bool
    is_on_front: bool
    invalid: list[str] = []


class Confirmed(_Frozen):
    """What measuring the trial again, in `rounds` fresh processes, found; medians over the rounds, and their intervals.

    `probability` of being on the front; `ties` are the trials that could not be told from it in any objective.
    """

    rounds: Annotated[int, Field(ge=1)]
    metrics: dict[str, Metric]
    probability: Annotated[float, Field(ge=0, le=1)] | None
    ties: Annotated[list[Count], Field(max_length=1000)]


class Input(_Frozen):
    """Raw images: `shape` is (channels, height, width), after a batch axis of any length."""

    name: str
    dtype: Literal["uint8"]
    layout: Literal["NCHW"]
    color: Literal["RGB", "gray"]
    range: tuple[Literal[0], Literal[255]]
    shape: tuple[
        Annotated[int, Field(ge=1, le=16)], Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]
    ]


class Output(_Frozen):
    """Logits [batch, classes], not yet through a softmax, of the exit that each image took."""

    name: str
    dtype: Literal["float32"]
    classes: Annotated[list[str], Field(min_length=1, max_length=100_000)]


class Execution(_Frozen):
    """What runs the model: `packages` maps distributions to the versions that it was measured with.

    `n_exits` counts the final one; with one exit the threshold has no effect.
    """

    runtime: str
    provider: str
    quantization: str
    packages: dict[str, str]
    threads: Annotated[int, Field(ge=1)]
    exit_threshold: Annotated[float, Field(gt=0, le=1)]
    n_exits: Annotated[int, Field(ge=1)]
    is_batch_invariant: bool


class Samples(_Frozen):
    """samples.npz: `n` validation images with what was measured on them.

    images [n, c, h, w] uint8, labels [n], logits [n_exits, n, classes] float32 of every exit, exits [n] that the images
    took, predictions [n]

    Logits made elsewhere must lie within `tolerance` of these, relative to the largest of them (or 1 if that is
    larger), and images whose decision that could not turn must get the same exit and class.
    """

    n: Annotated[int, Field(ge=1)]
    tolerance: Annotated[float, Field(gt=0)]


class DataFacts(_Frozen):
    """The data set that the accuracies are of: fingerprints of its source and of its splits."""

    name: str
    kind: str
    fingerprint: str
    splits: str
    n_training: Count
    n_validation: Count
    n_test: Count


class Device(_Frozen):
    """Where it was measured."""

    processor: str
    architecture: str
    instructions: list[str]
    n_cores: Count
    memory_mib: Count
    system: str


class Provenance(_Frozen):
    """What made the model. `search_space` is the study's, whole; `weights` the base network's fingerprint."""

    created: str
    device: Device
    software: dict[str, str | None]
    data: DataFacts
    weights: str
    search_space_sha256: Sha256
    search_space: dict[str, JsonValue]
    seed: int
    artifact: str


class FileFacts(_Frozen):
    """A file of the bundle."""

    sha256: Sha256
    bytes: Count


class Manifest(_Frozen):
    """manifest.json. `files` are all others of the bundle, by their path with forward slashes.

    `metrics` are of the measurement whose outputs are in samples.npz, their accuracy that of the validation images;
    `confirmed` is what measuring again found, None where nobody did. `test_accuracy` is that of the test split, which
    chose nothing. `seal` is that of explorer.deploy.seal.
    """

    format: Literal[1]
    seal: Sha256 = "0" * 64
    name: Name
    chosen: Chosen
    variant: VariantFacts
    metrics: dict[str, Metric]
    confirmed: Confirmed | None = None
    test_accuracy: Metric
    exit_shares: list[float]
    input: Input
    output: Output
    execution: Execution
    samples: Samples
    provenance: Provenance
    files: Annotated[dict[str, FileFacts], Field(min_length=1, max_length=1000)]
