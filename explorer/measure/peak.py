"""What this machine can do at best, measured once and kept: products of either precision, reads of either memory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from explorer import environment
from explorer.cache import cache_root
from explorer.files import write_json
from explorer.hashing import content_key
from explorer.measure import cores as core_choice
from explorer.measure.child import Child, ChildFailed, Stop

_VERSION = 2  # raised whenever the same machine gives other peaks
_SECONDS = 0.2  # for each of the child's eight rates; imports and the large array take as long again
_DEADLINES_S = {"": 60.0}
_SOFTWARE = ("numpy", "onnxruntime")
_RATES = ("float32_gflops", "int8_gflops", "memory_gb_per_s", "cache_gb_per_s")


@dataclass(frozen=True, slots=True)
class Peaks:
    """The best that `threads` pinned threads reached; unknown, and why, where it could not be measured.

    float32_gflops   10^9 floating-point operations a second in a float32 matrix product, NumPy's or ONNX Runtime's
    int8_gflops      the same of a uint8 × int8 product in ONNX Runtime
    memory_gb_per_s  10^9 bytes a second read by NumPy's maximum of an array that no cache holds
    cache_gb_per_s   the same of an array of a quarter of the last-level cache; None where its size is not known
    cache_bytes      size of the last-level cache
    measured_at      ISO 8601, UTC
    """

    float32_gflops: float | None
    int8_gflops: float | None
    memory_gb_per_s: float | None
    threads: int
    cache_gb_per_s: float | None = None
    cache_bytes: int | None = None
    measured_at: str | None = None
    why: str | None = None

    @classmethod
    def unknown(cls, threads: int, why: str) -> Peaks:
        """No peaks, and the reason."""
        return cls(None, None, None, threads, why=why)

    @property
    def age_s(self) -> float | None:
        """Seconds since they were measured; 0 where the clock was set back since."""
        if self.measured_at is None:
            return None
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.measured_at)).total_seconds())


def machine_peaks(threads: int = 1, stop: Stop | None = None, keep_off: Iterable[int] = ()) -> Peaks:
    """The peaks on the cores that a probe with `threads` threads would use: the kept ones, or seconds of measuring.

    `keep_off` are the processes that leave these cores meanwhile; this one is always among them. What is kept is one
    file for each processor, runtimes' versions and number of threads; one that does not read is measured again, as is
    one that is deleted: the way out where the first measurement met a busy machine. Raises Interrupted.
    """
    try:
        cores = core_choice.measuring(core_choice.available(), threads)
    except ValueError as error:
        return Peaks.unknown(threads, str(error))
    file = cache_file(threads)
    kept = _kept(file, threads)
    if kept is not None:
        return kept
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    request = {"threads": threads, "seconds": _SECONDS, "cores": cores}
    try:
        with (
            core_choice.kept_free(cores, [os.getpid(), *keep_off]),
            Child("explorer.measure.peak_probe", stop, dict.fromkeys(names, str(threads))) as child,
        ):
            answer = child.ask(request, _DEADLINES_S)
        peaks = _checked({**answer, "threads": threads, "measured_at": _now()}, threads)
    except ChildFailed as failed:
        return Peaks.unknown(threads, f"the peaks could not be measured: {failed.reason}")
    except (TypeError, ValueError) as error:
        return Peaks.unknown(threads, f"the peaks could not be measured: {error}")
    with contextlib.suppress(OSError):  # a cache that cannot be written costs these seconds again, and nothing else
        write_json(file, {"of": _identity(threads), "peaks": asdict(peaks)})
    return peaks


def cache_file(threads: int) -> Path:
    """Where the peaks of this machine on so many threads are kept. It need not exist yet."""
    return cache_root() / "machine" / f"peaks-{content_key(_identity(threads))}.json"


def _identity(threads: int) -> dict[str, Any]:
    processor = environment.processor()
    software = environment.packages()
    return {
        "version": _VERSION,
        "processor": processor["name"],
        "instructions": processor["instructions"],
        "software": {name: software[name] for name in _SOFTWARE},
        "threads": threads,
    }


def _kept(file: Path, threads: int) -> Peaks | None:
    try:
        return _checked(json.loads(file.read_text(encoding="utf-8"))["peaks"], threads)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _checked(values: dict[str, Any], threads: int) -> Peaks:
    """Raises TypeError for other fields, ValueError for a rate that is none."""
    peaks = Peaks(**values)
    for name in _RATES:
        rate = getattr(peaks, name)
        is_rate = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < float("inf")
        if not is_rate and not (rate is None and name == "cache_gb_per_s"):
            raise ValueError(f"{name} is {rate!r}, and a number above 0 was expected")
    if peaks.threads != threads or peaks.age_s is None:
        raise ValueError(f"expected the peaks of {threads} threads with their time, got {values!r}")
    return peaks


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
