"""Facts about this machine and its packages, for provenance; the cores and control groups of this process."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "torch", "torchvision", "torchao", "torch-pruning", "onnx", "onnxscript", "onnxruntime", "optuna")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")


def _cpu_fields() -> dict[str, str]:
    """Return the first processor's block of /proc/cpuinfo; empty if there is none."""
    try:
        block = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}


@cache
def processor() -> dict[str, Any]:
    """Return the model name, the instruction sets that matter here, and the number of usable cores."""
    fields = _cpu_fields()
    flags = set(re.split(r"\s+", fields.get("flags", fields.get("Features", ""))))
    return {
        "name": fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "n_cores": len(os.sched_getaffinity(0)),
    }


def usable_cores(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores can work for this process at once.

    These are the cores of its affinity, limited by the quotas of its control groups, rounded down, but at least one.
    """
    quota = min(_quotas(proc, groups), default=math.inf)
    return int(min(len(os.sched_getaffinity(0)), max(1.0, quota)))


def _quotas(proc: Path, groups: Path) -> Iterator[float]:
    """Yield the CPU quota, in cores, of each control group of this process that has one."""
    for group, is_version_2 in control_groups("cpu", proc, groups):
        names = ["cpu.max"] if is_version_2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        with contextlib.suppress(OSError, ValueError):  # no such group here, or "max"
            quota, period = " ".join((group / name).read_text(encoding="ascii") for name in names).split()
            if int(quota) > 0:  # -1: no limit
                yield int(quota) / int(period)


def control_groups(controller: str, proc: Path, groups: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folder of each control group of this process, innermost first, and whether it is of version 2.

    Only groups of `controller`, "cpu" or "memory", are yielded; none where the system has no control groups.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            root = groups / controller if controllers else groups
            # A container sees its own group as the root, while the path may be the one outside of the container.
            own = root / path.lstrip("/")
            yield from ((one, not controllers) for one in (own, *own.parents) if one.is_relative_to(root))


def memory_mib() -> int:
    """Return the machine's memory in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def packages() -> dict[str, str | None]:
    """Return the installed versions of the packages that results depend on; None for one that is not installed."""
    return {name: _version(name) for name in PACKAGES}


def software() -> dict[str, str | None]:
    """Return every version whose change makes results incomparable: Python, this package, and `packages()`."""
    return {"python": platform.python_version(), "pareto-explorer": _version("pareto-explorer"), **packages()}


def system() -> dict[str, str]:
    """Return the operating system and the version of the linked SQLite."""
    return {"system": platform.platform(), "sqlite": sqlite3.sqlite_version}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
