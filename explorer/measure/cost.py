"""What a million images cost on the device: hardware and memory for the time that they take, and the rest."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.records import Measurement

_S_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars an hour of the hardware, an hour of a GiB of memory, and a million images for everything else."""

    hardware_usd_per_hour: float
    memory_usd_per_gib_hour: float
    other_usd_per_million: float

    def usd_per_million(self, latency_mean_ms: float, peak_memory_mib: float, batch_size: int) -> float:
        """The cost of a million images, classified one query of `batch_size` images after the other."""
        s_per_image = latency_mean_ms / 1000 / batch_size
        memory_usd_per_s = self.memory_usd_per_gib_hour / _S_PER_HOUR * peak_memory_mib / 1024
        return (
            1e6 * (self.hardware_usd_per_hour / _S_PER_HOUR + memory_usd_per_s) * s_per_image
            + self.other_usd_per_million
        )


def cost(prices: Prices, latency_mean_ms: Measurement, peak_memory_mib: Measurement, batch_size: int) -> Measurement:
    """The cost with the interval that the mean latency's implies; the peak memory is one number."""

    def at(latency: float | None) -> float | None:
        if latency is None or peak_memory_mib.value is None:
            return None
        return prices.usd_per_million(latency, peak_memory_mib.value, batch_size)

    value = at(latency_mean_ms.value)
    if value is None:
        return Measurement.unknown("it needs the mean latency and the peak memory")
    return Measurement(value, at(latency_mean_ms.low), at(latency_mean_ms.high), latency_mean_ms.n)
