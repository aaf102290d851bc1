"""Facts about this machine and its packages, for provenance."""

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
    """The first processor's block of /proc/cpuinfo; empty where there is none."""
    try:
        block = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}


@cache
def processor() -> dict[str, Any]:
    """Model name, instruction sets that matter here, and the cores that this process may use."""
    fields = _cpu_fields()
    flags = set(re.split(r"\s+", fields.get("flags", fields.get("Features", ""))))
    return {
        "name": fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "n_cores": len(os.sched_getaffinity(0)),
    }


def usable_cores(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """How many cores can work for this process at once: those of its affinity, as far as its control groups pay for.

    A quota of two and a half cores pays for two; one of less than a core counts as one, for no process needs fewer.
    """
    quota = min(_quotas(proc, groups), default=math.inf)
    return int(min(len(os.sched_getaffinity(0)), max(1.0, quota)))


def _quotas(proc: Path, groups: Path) -> Iterator[float]:
    """The cores that each control group (version 1 or 2) of this process may keep busy; none without a limit."""
    with contextlib.suppress(OSError, ValueError):  # no control groups here
        for line in (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                root, names = groups, ["cpu.max"]
            elif "cpu" in controllers.split(","):
                root, names = groups / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
            else:
                continue
            # A container sees its own group as the root, and may be told the path that the group has outside.
            place = root / path.lstrip("/")
            for group in (one for one in (place, *place.parents) if one.is_relative_to(root)):
                with contextlib.suppress(OSError, ValueError):  # no such group here, or "max"
                    quota, period = " ".join((group / name).read_text(encoding="ascii") for name in names).split()
                    if int(quota) > 0:  # -1: no limit
                        yield int(quota) / int(period)


def memory_mib() -> int:
    """The machine's memory in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def packages() -> dict[str, str | None]:
    """The installed versions of the packages that results depend on; None: not installed."""
    return {name: _version(name) for name in PACKAGES}


def software() -> dict[str, str | None]:
    """Everything whose change makes results incomparable: Python, this package, and `packages()`."""
    return {"python": platform.python_version(), "pareto-explorer": _version("pareto-explorer"), **packages()}


def system() -> dict[str, str]:
    """The operating system and the linked SQLite."""
    return {"system": platform.platform(), "sqlite": sqlite3.sqlite_version}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
