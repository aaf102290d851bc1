"""The child that finds the peaks: on a scripted clock, and its real products at a small size."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from explorer.measure import peak_probe


class Clock:
    """Each reading is `step` seconds after the one before, but the one after `fast` readings, which is half of it."""

    def __init__(self, step: float, fast: int) -> None:
        self.step, self.fast, self.n, self.now = step, fast, 0, 0.0

    def perf_counter(self) -> float:
        self.n += 1
        self.now += self.step / 2 if self.n == self.fast else self.step
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock(step=0.01, fast=5)
    monkeypatch.setattr(peak_probe, "time", made)
    return made


def test_read_rate_is_the_best_blocks(clock):
    n_bytes = 3 * peak_probe._BLOCK_BYTES
    assert peak_probe.read_gb_per_s(n_bytes, 1, 0.2) == pytest.approx(peak_probe._BLOCK_BYTES / 0.005 / 1e9)


def test_read_rate_counts_the_blocks_of_all_threads(clock):
    assert peak_probe.read_gb_per_s(2**16, 2, 0.2) == pytest.approx(2**16 / 0.005 / 1e9)


def test_peaks_small_products_give_rates_and_the_cache_size():
    made = peak_probe.peaks(1, 0.001, sizes=(16,), cache_bytes=2**16, memory_array_bytes=2**18)
    assert set(made) == {"float32_gflops", "int8_gflops", "memory_gb_per_s", "cache_gb_per_s", "cache_bytes"}
    assert made["cache_bytes"] == 2**16
    assert min(made.values()) > 0


def test_measure_anything_raised_is_a_failure_with_its_words(monkeypatch):
    failures: list[tuple[str, str]] = []
    monkeypatch.setattr(peak_probe, "peaks", lambda threads, seconds: 1 / 0)
    answers = SimpleNamespace(failure=lambda *words: failures.append(words), result=lambda _: None)
    peak_probe.measure({"threads": 1, "seconds": 1}, answers)
    assert failures == [("ZeroDivisionError in the probe", "ZeroDivisionError: division by zero")]


def test_last_level_cache_is_the_largest(tmp_path):
    assert peak_probe.last_level_cache_bytes(tmp_path) is None
    for index, size in enumerate(("32K", "1024K", "32768K")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(f"{size}\n")
    assert peak_probe.last_level_cache_bytes(tmp_path) == 32 * 2**20
