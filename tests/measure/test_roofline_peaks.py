"""The machine's peaks: kept once, measured again when what is kept does not read, unknown with a reason."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from explorer.measure import roofline_peaks as peak
from explorer.measure.roofline_peaks import Peaks, cache_file, machine_peaks
from explorer.system import cores
from explorer.system.worker_process import WorkerFailed

ANSWER = {
    "float32_gflops": 100.0,
    "int8_gflops": 400.0,
    "memory_gb_per_s": 20.0,
    "cache_gb_per_s": 80.0,
    "cache_bytes": 2**25,
}


@pytest.fixture
def children(tmp_path, monkeypatch):
    """A child that answers at once; the requests that it got. `answer` may be changed."""
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))

    class Scripted:
        requests: list[dict] = []  # noqa: RUF012
        answer: object = ANSWER

        def __init__(self, module, stop, environment):
            assert module == "explorer.measure.roofline_peaks"
            assert environment["OMP_NUM_THREADS"] == "1"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, request, deadlines_s):
            self.requests.append(request)
            if isinstance(self.answer, Exception):
                raise self.answer
            return dict(self.answer)

    monkeypatch.setattr(peak, "WorkerProcess", Scripted)
    return Scripted


def test_peaks_are_measured_once_and_kept(children):
    first, second = machine_peaks(), machine_peaks()
    assert first == second
    assert (first.float32_gflops, first.int8_gflops, first.memory_gb_per_s, first.threads) == (100.0, 400.0, 20.0, 1)
    assert [request["cores"] for request in children.requests] == [cores.measuring(cores.available(), 1)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda _: "[]",
        lambda text: text.replace("100.0", '"fast"'),
        lambda text: text.replace("100.0", "0.0"),
        lambda text: text.replace("100.0", "NaN"),
        lambda text: text.replace("100.0", "true"),
        lambda text: text.replace("int8_gflops", "int4_gflops"),
        lambda text: text.replace('"measured_at": "', '"measured_at": "at '),
        lambda text: text.replace('"measured_at": "2', '"measured_at": null, "other": "2'),
    ],
)
def test_peaks_kept_file_damaged_is_measured_again(children, damage):
    whole = machine_peaks()
    file = cache_file(1)
    file.write_text(damage(file.read_text()))
    assert machine_peaks().float32_gflops == whole.float32_gflops
    assert len(children.requests) == 2
    assert json.loads(file.read_text())["peaks"]["float32_gflops"] == 100.0


def test_peaks_other_software_is_another_file(children, monkeypatch):
    before = cache_file(1)
    monkeypatch.setattr(peak.environment, "packages", lambda: {"numpy": "0", "onnxruntime": "0"})
    assert cache_file(1) != before
    assert cache_file(2) != cache_file(1)


@pytest.mark.parametrize("wrong", [{"int8_gflops": None}, {"memory_gb_per_s": -1.0}, {"fast": 1}])
def test_peaks_child_answers_wrongly_is_unknown_and_not_kept(children, wrong):
    children.answer = {**ANSWER, **wrong}
    peaks = machine_peaks()
    assert peaks.float32_gflops is None
    assert "the peaks could not be measured" in peaks.why
    assert not cache_file(1).exists()


def test_peaks_child_dies_is_unknown_with_its_reason(children):
    children.answer = WorkerFailed("signal SIGILL", "ended by SIGILL")
    assert machine_peaks() == Peaks.unknown(1, "the peaks could not be measured: ended by SIGILL")


def test_peaks_more_threads_than_cores_are_unknown(children):
    peaks = machine_peaks(10_000)
    assert "10000 threads need as many cores" in peaks.why
    assert children.requests == []


def test_peaks_cache_that_cannot_be_written_are_known_all_the_same(children, tmp_path):
    (tmp_path / "machine").write_text("a file where the folder should be")
    assert machine_peaks().float32_gflops == 100.0


def test_peaks_age_is_the_time_since_they_were_measured():
    then = datetime.now(UTC) - timedelta(hours=1)
    assert Peaks(1.0, 1.0, 1.0, 1, measured_at=then.isoformat()).age_s == pytest.approx(3600, abs=60)
    assert Peaks.unknown(1, "why").age_s is None


def test_peaks_of_this_machine_are_positive_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    monkeypatch.setattr(peak, "_SECONDS", 0.005)
    peaks = machine_peaks()
    assert peaks.why is None
    rates = (peaks.float32_gflops, peaks.int8_gflops, peaks.memory_gb_per_s)
    assert all(rate is not None and 0 < rate < math.inf for rate in rates)


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
    monkeypatch.setattr(peak, "time", made)
    return made


def test_read_rate_is_the_best_blocks(clock):
    n_bytes = 3 * peak._BLOCK_BYTES
    assert peak.read_gb_per_s(n_bytes, 1, 0.2) == pytest.approx(peak._BLOCK_BYTES / 0.005 / 1e9)


def test_read_rate_counts_the_blocks_of_all_threads(clock):
    assert peak.read_gb_per_s(2**16, 2, 0.2) == pytest.approx(2**16 / 0.005 / 1e9)


def test_peaks_small_products_give_rates_and_the_cache_size():
    made = peak.peaks(1, 0.001, sizes=(16,), cache_bytes=2**16, memory_array_bytes=2**18)
    assert set(made) == {"float32_gflops", "int8_gflops", "memory_gb_per_s", "cache_gb_per_s", "cache_bytes"}
    assert made["cache_bytes"] == 2**16
    assert min(made.values()) > 0


def test_measure_anything_raised_is_a_failure_with_its_words(monkeypatch):
    failures: list[tuple[str, str]] = []
    monkeypatch.setattr(peak, "peaks", lambda threads, seconds: 1 / 0)
    answers = SimpleNamespace(failure=lambda *words: failures.append(words), result=lambda _: None)
    peak.measure({"threads": 1, "seconds": 1}, answers)
    assert failures == [("ZeroDivisionError in the probe", "ZeroDivisionError: division by zero")]


def test_last_level_cache_is_the_largest(tmp_path):
    assert peak.last_level_cache_bytes(tmp_path) is None
    for index, size in enumerate(("32K", "1024K", "32768K")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(f"{size}\n")
    assert peak.last_level_cache_bytes(tmp_path) == 32 * 2**20
