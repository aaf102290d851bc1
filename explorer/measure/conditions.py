"""What the system counts while the probe works, and the reasons that follow why its times are not valid.

Of timed queries every stretch is known (`measure.timing`). A cold start happens once and waits for files, so processor
time does not show whether the process stood still. The kernel's counts for it do: stopped and continued, ready without
a core, suspended with the machine.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from explorer.observation import Conditions, Observation, Phase, Reason

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_WORKING_SHARE = 0.05
"""Minimum share of the time in which a thread had a processor for it to count as working."""

COLD_START = ("start", "import", "load", "first answer")
STATED_PHASES = frozenset({*COLD_START, "energy pass"})
"""Phases whose duration is part of a metric. Standing still in the memory pass or the warm-up changes no number."""

MAX_STOP_S = 0.1
"""Longer than a scheduler lets one thread wait for another, shorter than any deliberate stop of a process."""

MIN_PROCESSOR_SHARE = 0.90
MAX_STEAL_RATIO = 0.05
MAX_OTHERS_RATIO = 0.10


@dataclass(frozen=True, slots=True)
class SystemState:
    """Clocks in seconds, ticks of the cores, and processor seconds of this process and its threads, at one moment."""

    wall_s: float
    awake_s: float
    cores: tuple[int, ...]
    ticks: Mapping[str, int] | None
    process_s: float
    threads_s: Mapping[int, float]

    @classmethod
    def read(cls, cores: Sequence[int], proc: Path = Path("/proc")) -> SystemState:
        """Read the present state of `cores` from the files below `proc`."""
        return cls(
            time.clock_gettime(time.CLOCK_BOOTTIME),
            time.monotonic(),
            tuple(cores),
            _ticks(proc / "stat", cores),
            time.process_time(),
            _threads(proc / "self" / "task"),
        )

    def until(self, later: SystemState) -> Conditions:
        """Return the conditions between this state and a later one."""
        seconds = max(1e-9, later.wall_s - self.wall_s)
        steal = others = None
        if self.ticks is not None and later.ticks is not None:
            passed = {name: later.ticks[name] - self.ticks[name] for name in _FIELDS}
            whole = seconds * len(self.cores)
            steal = _less_a_tick(passed["steal"]) / whole
            busy = _less_a_tick(sum(passed[name] for name in _BUSY) - passed["steal"])
            others = max(0.0, busy - (later.process_s - self.process_s)) / whole
        worked = [used - self.threads_s.get(thread, 0.0) for thread, used in later.threads_s.items()]
        return Conditions(
            seconds=seconds,
            steal_ratio=steal,
            others_ratio=others,
            n_working=sum(used > _WORKING_SHARE * seconds for used in worked),
            cores=tuple(sorted(os.sched_getaffinity(0))),
            suspended_s=max(0.0, seconds - (later.awake_s - self.awake_s)),
        )


def _less_a_tick(ticks: int) -> float:
    """Return seconds that were certainly spent: the tick in which each reading falls counts whole, or not at all."""
    return max(0, ticks - 1) / _TICKS_PER_S


def _ticks(stat: Path, cores: Sequence[int]) -> dict[str, int] | None:
    """Return the ticks of `cores` by kind, summed; None where the system does not report them."""
    wanted = {f"cpu{core}" for core in cores}
    try:
        lines = [line.split() for line in stat.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    rows = [line[1 : len(_FIELDS) + 1] for line in lines if line and line[0] in wanted]
    if len(rows) != len(wanted) or any(len(row) != len(_FIELDS) for row in rows):
        return None
    totals = [sum(map(int, column)) for column in zip(*rows, strict=True)]
    return dict(zip(_FIELDS, totals, strict=True)) if any(totals) else None


def _threads(tasks: Path) -> dict[int, float]:
    """Return the processor seconds of each thread of this process, by thread id."""
    used = {}
    for task in tasks.iterdir():
        try:
            used[int(task.name)] = int((task / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
        except (OSError, ValueError, IndexError):  # it ended meanwhile, or this kernel does not count
            continue
    return used


def _waited_ns() -> int:
    """Return for how long this thread was ready without a core; 0 where the kernel does not count it."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _was_stopped() -> bool:
    """Return whether this process was continued since the last call; `worker_process` starts it with SIGCONT
    blocked.
    """
    return signal.sigtimedwait({signal.SIGCONT}, 0) is not None


@dataclass(frozen=True, slots=True)
class Clocks:
    """Clocks in ns: wall; processor and waiting time of this thread; suspension; and whether it was stopped."""

    wall_ns: Callable[[], int] = time.monotonic_ns
    processor_ns: Callable[[], int] = time.thread_time_ns
    waited_ns: Callable[[], int] = _waited_ns
    suspended_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    was_stopped: Callable[[], bool] = _was_stopped


@final
class PhaseTimer:
    """Times consecutive phases; the first began with the process, at `started_ns` of the wall clock."""

    def __init__(self, started_ns: int, clocks: Clocks | None = None) -> None:
        self._clocks = clocks or Clocks()
        self._mark = (started_ns, 0, 0, self._clocks.suspended_ns())
        self.phases: dict[str, Phase] = {}

    def begin(self) -> None:
        """Begin a phase; the time since the last one belongs to none."""
        self._mark = self._readings()
        self._clocks.was_stopped()

    def end(self, name: str) -> Phase:
        """End the phase and begin the next one. A repeated name replaces the earlier phase."""
        mark, self._mark = self._mark, self._readings()
        wall, processor, waited, suspended = ((now - then) / 1e9 for now, then in zip(self._mark, mark, strict=True))
        made = Phase(wall, processor, waited, max(0.0, suspended), self._clocks.was_stopped())
        self.phases[name] = made
        return made

    def _readings(self) -> tuple[int, int, int, int]:
        clocks = self._clocks
        return clocks.wall_ns(), clocks.processor_ns(), clocks.waited_ns(), clocks.suspended_ns()


def reasons(seen: Observation, threads: int, longest_stop_s: float, n_different: int) -> Iterator[Reason]:
    """Yield why the times of a measurement are invalid; nothing when they are valid.

    `threads` is the number that the variant requests, `longest_stop_s` the longest time in which the timed thread had
    no processor, `n_different` how many answers given while timing differ from those of the accuracy pass.
    """
    conditions = seen.conditions
    if n_different:
        yield _reason("different_answers", n_different=float(n_different), n_answers=float(seen.timing.n_answers))
    if conditions.cores != tuple(sorted(seen.cores)):
        yield _reason("other_cores", used=_listed(conditions.cores), wanted=_listed(sorted(seen.cores)))
    if conditions.n_working > threads:
        yield _reason("more_threads", n_working=float(conditions.n_working), n_threads=float(threads))
    stopped_s = max(longest_stop_s, conditions.suspended_s)
    if stopped_s > MAX_STOP_S:
        yield _reason("clock_gap", seconds=stopped_s)
    for name, phase in seen.phases.items():
        if name in STATED_PHASES and phase.still_s > MAX_STOP_S:
            yield _reason("phase_gap", phase=name, seconds=phase.still_s)
    if seen.processor_share < MIN_PROCESSOR_SHARE:
        yield _reason("shared_core", ratio=1 - seen.processor_share)
    if threads == 1:
        return  # the slices in which it had its core are known, and these count
    others, steal = conditions.others_ratio, conditions.steal_ratio
    if seen.processor_share >= MIN_PROCESSOR_SHARE and others is not None and others > MAX_OTHERS_RATIO:
        yield _reason("other_processes", ratio=others)
    if steal is not None and steal > MAX_STEAL_RATIO:
        yield _reason("steal", ratio=steal)


def _reason(kind: str, **values: float | str) -> Reason:
    return Reason(kind, values)


def _listed(cores: Iterable[int]) -> str:
    return ", ".join(map(str, cores))
