"""Measure energy with the counters that this machine can read, through zeus: RAPL and NVML; never estimate it.

zeus is not enough by itself. Where it cannot read processor energy, its monitor omits it. `RAPLFile.read` starts a
polling process for each counter to count its wraps, which would share the measuring cores. So zeus finds and opens the
counters, its daemon (zeusd) reads those that only root may read, and plain files are read here, once before and once
after what is measured.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zeus.device.cpu.common import CPU
    from zeus.device.gpu.common import GPU

_ROOT = Path("/sys/class/powercap")
_DRIVER = Path("/proc/driver/nvidia/version")
_DAEMON = ("ZEUSD_SOCK_PATH", "ZEUSD_HOST_PORT")
_INSTALL = "pip install 'pareto-explorer[energy]'"
_MOVES_WITHIN_S = 0.05  # RAPL is renewed about every millisecond; some virtual machines show counters that never are


class Source(Protocol):
    """One energy counter. `largest_uj` is its last value before it wraps to 0; None where wraps are counted already."""

    @property
    def largest_uj(self) -> int | None:
        """In microjoules."""

    def read_uj(self) -> int:
        """Return the present count in microjoules. Raises OSError."""


@dataclass(frozen=True, slots=True)
class EnergyCounter:
    """Energy counters that are added up, in microjoules; none, with the reason `why`, where they cannot be read."""

    sources: tuple[Source, ...]
    why: str | None = None

    @classmethod
    def open(cls, root: Path = _ROOT, wait: Callable[[float], None] = time.sleep) -> EnergyCounter:
        """Open the processor packages' counters: `intel-rapl:N`, which AMD's driver uses as well.

        A package is its cores and caches, whichever process uses them. Where counters are readable this takes 50 ms, in
        which they must move, and imports zeus (0.2 s, 25 MiB, no thread, no process): call it outside timed code and
        after memory is measured. Elsewhere it takes microseconds.
        """
        zones = sorted(zone for zone in root.glob("intel-rapl:*") if zone.name.count(":") == 1)
        is_served = any(os.environ.get(name) for name in _DAEMON)
        if why := _why_no_zones(root, zones, is_served) or _why_no_zeus("the RAPL counters"):
            return cls((), why)
        from zeus.exception import ZeusBaseError

        try:
            sources = _served() if is_served else _readable(zones)
            before = [source.read_uj() for source in sources]
            wait(_MOVES_WITHIN_S)
            counter = cls(sources)
            if counter.used_uj(before) is None:
                return cls((), f"the RAPL counters under {root} stand still")
        except (ZeusBaseError, OSError, ValueError) as error:
            return cls((), f"the RAPL counters cannot be read: {error}")
        return counter

    @classmethod
    def of_graphics(cls, driver: Path = _DRIVER) -> EnergyCounter:
        """Open the graphics cards' counters (NVML): whole cards, all processes included. No privilege is needed."""
        if not driver.exists():
            return cls((), f"this machine has no NVIDIA driver ({driver})")
        if why := _why_no_zeus("the graphics cards' counters"):
            return cls((), why)
        from zeus.device.gpu import get_gpus
        from zeus.exception import ZeusBaseError

        try:
            cards = tuple(_Card(gpu) for gpu in get_gpus().gpus if gpu.supports_get_total_energy_consumption())
            for card in cards:
                card.read_uj()
        except (ZeusBaseError, OSError) as error:
            return cls((), f"the graphics cards' counters cannot be read: {error}")
        return cls(cards, None if cards else "no graphics card here counts its energy (NVIDIA: from Volta on)")

    def read_uj(self) -> list[int]:
        """Return the present counts. Raises OSError."""
        return [source.read_uj() for source in self.sources]

    def used_uj(self, before: list[int]) -> int | None:
        """Return the microjoules since `before`, each counter wrapping at most once; None if none moved. Raises
        OSError.
        """
        used = 0
        for source, now, then in zip(self.sources, self.read_uj(), before, strict=True):
            used += (now - then) if source.largest_uj is None else (now - then) % (source.largest_uj + 1)
        return used if used > 0 else None


@dataclass(frozen=True, slots=True)
class _Zone:
    """A package whose counter is a readable file."""

    file: Path
    largest_uj: int | None

    def read_uj(self) -> int:
        return int(self.file.read_text())


@dataclass(frozen=True, slots=True)
class _Served:
    """A package that zeusd reads; zeusd counts the wraps."""

    cpu: CPU
    largest_uj: int | None = None

    def read_uj(self) -> int:
        from zeus.exception import ZeusBaseError

        try:
            return round(float(self.cpu.get_total_energy_consumption().cpu_mj) * 1000)
        except ZeusBaseError as error:
            raise OSError(f"zeusd does not answer: {error}") from error


@dataclass(frozen=True, slots=True)
class _Card:
    """A graphics card, whose 64-bit counter has millijoules since its driver was loaded."""

    gpu: GPU
    largest_uj: int | None = None

    def read_uj(self) -> int:
        from zeus.exception import ZeusBaseError

        try:
            return int(self.gpu.get_total_energy_consumption()) * 1000
        except ZeusBaseError as error:
            raise OSError(f"the graphics card does not answer: {error}") from error


def _why_no_zones(root: Path, zones: list[Path], is_served: bool) -> str | None:
    """Return why there is no readable counter, in microseconds and before anything is imported; None when there is."""
    if not zones:
        return f"this machine has no RAPL energy counters ({root}/intel-rapl:0)"
    if is_served:
        return None
    try:
        for zone in zones:
            (zone / "energy_uj").read_text()
    except OSError as error:
        reason = error.strerror or str(error)
        return (
            f"the RAPL counters cannot be read ({reason}); as root: chmod a+r {root}/*/energy_uj, "
            f"or start zeusd and set {_DAEMON[0]}"
        )
    return None


def _why_no_zeus(counters: str) -> str | None:
    if importlib.util.find_spec("zeus") is None:
        return f"{counters} can be read with zeus, which is not installed: {_INSTALL}"
    return None


def _readable(zones: list[Path]) -> tuple[Source, ...]:
    """Return the packages. The platform's zone `psys` is left out: it would count them twice."""
    from zeus.device.cpu.rapl import RAPLFile

    files = [RAPLFile(str(zone)) for zone in zones]
    packages = [file for file in files if file.name.startswith("package")]
    if not packages:
        raise OSError(f"expected a zone called package-0, got {', '.join(file.name for file in files)}")
    return tuple(_Zone(Path(file.energy_uj_path), int(file.max_energy_range_uj)) for file in packages)


def _served() -> tuple[Source, ...]:
    from zeus.device.cpu.rapl import RAPLCPUs

    return tuple(_Served(cpu) for cpu in RAPLCPUs().cpus)
