"""Processor energy from Intel's and AMD's RAPL counters, where this process may read them; never an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class EnergyCounter:
    """The packages' energy counters, in microjoules; none, and the reason, where they cannot be read."""

    files: tuple[tuple[Path, int], ...]
    why: str | None = None

    @classmethod
    def open(cls, root: Path = _ROOT) -> EnergyCounter:
        """Find the package counters (`intel-rapl:N`, which AMD's driver uses as well)."""
        zones = sorted(root.glob("intel-rapl:[0-9]"))
        if not zones:
            return cls((), f"this machine has no RAPL energy counters ({root}/intel-rapl:0)")
        try:
            files = tuple((zone / "energy_uj", int((zone / "max_energy_range_uj").read_text())) for zone in zones)
            for file, _ in files:
                file.read_text()
        except OSError as error:
            return cls(
                (), f"the RAPL counters cannot be read ({error.strerror}); as root: chmod a+r {root}/*/energy_uj"
            )
        return cls(files)

    def read_uj(self) -> list[int]:
        """The counters now."""
        return [int(file.read_text()) for file, _ in self.files]

    def used_uj(self, before: list[int]) -> int | None:
        """Microjoules since `before`, over all packages; None without counters. A counter may wrap once."""
        if not self.files:
            return None
        now = self.read_uj()
        return sum((n - b) % (largest + 1) for n, b, (_, largest) in zip(now, before, self.files, strict=True))
