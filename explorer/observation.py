"""Observation: what one measurement found beyond its metrics, typed; and the reasons why its times are not valid."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal, final

from explorer import typed_json

_LEVEL = 1  # of compression: a higher one saves a tenth
_STOOD_STILL = "stood still for {seconds:.2f} s (stopped, suspended, or without a core)"
_SENTENCES = {
    "different_answers": (
        "{n_different:.0f} of {n_answers:.0f} answers given while timing are not those of the accuracy pass: what was "
        "timed is not what was judged"
    ),
    "other_cores": "it ran on cores [{used}], and cores [{wanted}] were asked for",
    "more_threads": "{n_working:.0f} threads worked, and {n_threads:.0f} were asked for",
    "clock_gap": f"the clock has a gap: it {_STOOD_STILL}",
    "phase_gap": f"its {{phase}} has a gap: it {_STOOD_STILL}",
    "shared_core": "others had its core for {ratio:.0%} of the time",
    "other_processes": "other processes used {ratio:.0%} of the measuring cores",
    "steal": "the hypervisor took {ratio:.0%} of the measuring cores' time",
}


def require_values(sentence: str, values: Mapping[str, float | str]) -> None:
    """Raise ValueError unless `values` are those of a sentence: numbers where a field has a format, else texts."""
    wanted = {name: float if form else str for _, name, form, _ in Formatter().parse(sentence) if name}
    if wanted != {name: type(value) for name, value in values.items()}:
        raise ValueError(f"{sentence!r} has the values {values}, expected {', '.join(wanted)}")


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason why times are not valid: its kind, one of those that have a sentence, and the sentence's values."""

    kind: str
    values: Mapping[str, float | str]

    def __post_init__(self) -> None:
        """Raise ValueError unless the kind has a sentence, and the values are those of the sentence."""
        if self.kind not in _SENTENCES:
            raise ValueError(f"{self.kind[:100]!r} is no reason why times are not valid")
        require_values(_SENTENCES[self.kind], self.values)

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _SENTENCES[self.kind].format_map(self.values)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A known number, the ends of its 95 % interval (None: too few samples), and the number of samples."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Timing:
    """How long was timed.

    is_steady, is_narrow  whether the warm-up became steady, and the median's interval as narrow as was asked
    interval_ratio        the larger distance of the median to an end of its interval within this process, as a ratio;
                          None: unknown
    seconds               of all queries, in every state of the core
    n_answers             answers compared with those of the accuracy pass; 0: they are not comparable
    """

    budget: Literal["whole", "quarter"]
    is_steady: bool
    is_narrow: bool
    interval_ratio: float | None
    seconds: float
    n_answers: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """The anchor in one measurement: how much of it was taken in the core's quiet state.

    level_ms     quiet level of each of its parts, to which the times are related
    slowness     its median over that level, above 1 where the core was slower
    dispersion   spread of it over the slices, as a ratio
    quiet_ratio  share of the slices that were taken in the quiet state
    excess       slowness of the slices that count, less 1; 0 where enough were quiet, so that these alone count
    """

    level_ms: tuple[float, ...]
    slowness: float
    dispersion: float
    quiet_ratio: float
    excess: float

    def __post_init__(self) -> None:
        """Raise ValueError for a slowness or a level that is not above 0."""
        if not (self.slowness > 0 and self.level_ms and min(self.level_ms) > 0):
            raise ValueError(f"the anchor's level is {self.level_ms} and its slowness {self.slowness:g}, expected more")


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions over `seconds` while times were taken.

    steal_ratio   share of the measuring cores' time that the hypervisor gave to others; None: not available
    others_ratio  share of the measuring cores' time that other processes used; None: not available
    n_working     threads of the process that worked
    cores         cores that the process was allowed to use at the end
    suspended_s   seconds for which the machine was suspended
    """

    seconds: float
    steal_ratio: float | None
    others_ratio: float | None
    n_working: int
    cores: tuple[int, ...]
    suspended_s: float


_MIN_WAITED_RATIO = 0.10
"""Below this share of a phase, waiting for a core is the normal contention of any machine."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the process's first thread, in seconds.

    processor_s  with a processor
    waited_s     ready, without a processor
    suspended_s  for which the machine was suspended; not part of `wall_s`
    was_stopped  whether it was stopped and continued, as by SIGSTOP and SIGCONT
    """

    wall_s: float
    processor_s: float
    waited_s: float
    suspended_s: float
    was_stopped: bool

    @property
    def still_s(self) -> float:
        """Seconds for which it stood still: stopped, suspended, or for a good part of the phase without a core."""
        stopped_s = max(0.0, self.wall_s - self.processor_s - self.waited_s) if self.was_stopped else 0.0
        waited_s = self.waited_s if self.waited_s > _MIN_WAITED_RATIO * self.wall_s else 0.0
        return self.suspended_s + stopped_s + waited_s


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The parts of the cold start in ms: the process, imports, loading the artifact, the first answer."""

    start: float
    imports: float
    load: float
    first_answer: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.start + self.imports + self.load + self.first_answer


@dataclass(frozen=True, slots=True)
class Memory:
    """Measured memory in MiB: the process's peak, that of the bare runtime, and the difference, the model's."""

    process_peak: float
    runtime: float
    model: float


@dataclass(frozen=True, slots=True)
class Exit:
    """An exit: the share of examples that take it, the main metric if all did (None: unknown), and its path's time."""

    share: float
    quality: float | None
    latency_ms: Estimate | None


@dataclass(frozen=True, slots=True)
class Section:
    """A table that a task adds to a trial's page and sheet: rows of cells below `columns`; floats are ratios."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


@dataclass(frozen=True, slots=True)
class SegmentBytes:
    """Bytes of one segment: its parameters, and the activations that it reads and writes for one example."""

    parameters: int
    traffic: int


@dataclass(frozen=True, slots=True)
class MemoryBytes:
    """M_total = M_parameters + M_activations + M_workspace in bytes, for one example that takes every segment.

    parameters   weights, biases and statistics: 1 byte a weight of an int8 layer, plus 5 a channel for scale and zero
                 point; else 4
    activations  the largest sum of live tensors while one operator works: its inputs, its outputs, and what a later one
                 reads, such as a shortcut (the working set of Liberis & Lane, "Neural networks on microcontrollers:
                 saving memory at inference via operator reordering", 2019)
    workspace    the largest input of a convolution when it is unfolded into a matrix (im2col). An upper bound: direct
                 convolutions unfold nothing, and 1×1 ones of stride 1 need not
    segments     parameters and activation traffic per segment

    Activations, workspace and traffic are those of float32; a static int8 artifact's are a quarter. A batch of b takes
    b times the activations and the traffic, and up to b times the workspace. An example that takes an early exit causes
    the traffic of its own segments alone; the memory must suffice for all of them.
    """

    parameters: int
    activations: int
    workspace: int
    segments: tuple[SegmentBytes, ...]

    @property
    def total(self) -> int:
        """M_total."""
        return self.parameters + self.activations + self.workspace


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What building found: the network's key, what pruning removed, the memory needed, and what became int8.

    max_logit_difference  from the torch network's outputs, relative to the largest
    int8_range            the range of int8 weights; None where it does not matter
    """

    network: str
    pruned: Mapping[str, str]
    memory_bytes: MemoryBytes
    n_layers: int
    n_int8_layers: int
    int8_mac_share: float
    int8_range: str | None
    max_logit_difference: float
    is_batch_invariant: bool


@dataclass(frozen=True, slots=True)
class Utilization:
    """The use of the machine by a query, and what bounds it; None is unknown, `why` says the reason.

    latency_ms   mean time of a query; gflops, reached in it, and the machine's peak_gflops are 10^9 operations a second
    cpu_share    processor time of the serving process over wall time, during the warm-up
    arithmetic_ms, bytes_ms  what the operations at their peak take, and the bytes from `bytes_from` at its bandwidth
    bound_by     "memory" includes the cache's bandwidth
    """

    cpu_share: float
    threads: int
    precision: Literal["int8", "float32"]
    latency_ms: float
    gflops: float
    bytes_per_query: float
    peak_gflops: float | None = None
    arithmetic_ms: float | None = None
    bytes_ms: float | None = None
    bytes_from: Literal["cache", "memory"] | None = None
    bound_by: Literal["arithmetic", "memory", "overhead"] | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What one measurement found beyond its metrics.

    cores, modules    the measuring cores; which of the known runtimes' packages the probe had loaded
    processor_share   share of the time in which the timed thread had a processor, 1 when undisturbed
    busy_cores        processor time over wall time during the warm-up
    phases            phases of the probe by name
    exits, sections   of the validation examples
    has_known_outputs whether the outputs came from the cache
    build             None: the artifact was not built for this measurement
    utilization       None: it was not computed
    """

    cores: tuple[int, ...]
    modules: tuple[str, ...]
    processor_share: float
    busy_cores: float
    cold_start_ms: ColdStart
    memory_mib: Memory
    timing: Timing
    anchor: Anchor
    conditions: Conditions
    phases: Mapping[str, Phase]
    exits: tuple[Exit, ...]
    sections: tuple[Section, ...]
    has_known_outputs: bool = False
    build: BuildFacts | None = None
    utilization: Utilization | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        values: dict[str, Any] = typed_json.to_json(self)
        return values

    @classmethod
    def from_json(cls, values: Any) -> Observation:
        """Return the inverse of `to_json`. Raises TypeError or ValueError for anything else."""
        return typed_json.from_json(cls, values, "observation")


@final
class PackedObservation:
    """An observation as compressed JSON text, of which a long study holds thousands: a kilobyte instead of six."""

    __slots__ = ("_text",)

    def __init__(self, observation: Observation) -> None:
        self._text = zlib.compress(json.dumps(observation.to_json()).encode(), _LEVEL)

    def read(self) -> Observation:
        """Return the observation."""
        return Observation.from_json(json.loads(zlib.decompress(self._text)))

    def __eq__(self, other: object) -> bool:
        return self.read() == (other.read() if isinstance(other, PackedObservation) else other)

    def __hash__(self) -> int:
        return hash(self._text)
