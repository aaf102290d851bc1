"""The roofline by hand: operations and bytes over known peaks."""

from __future__ import annotations

import pytest
from fakes import artifact_facts, segment
from hypothesis import given
from hypothesis import strategies as st

from explorer.measure.roofline_peaks import Peaks
from explorer.measure.utilization import OVERHEAD_FACTOR, Work, utilization, utilization_sentence, work_of
from explorer.observation import MemoryBytes, SegmentBytes, Utilization
from explorer.runtimes.artifact import ArtifactFacts
from explorer.typed_json import from_json, to_json

MEMORY = MemoryBytes(4000, 0, 0, (SegmentBytes(1000, 400), SegmentBytes(3000, 800)))
PEAKS = Peaks(100.0, 400.0, 10.0, 1, cache_gb_per_s=50.0, cache_bytes=2 * 10**6)


def facts(quantization: str = "none", int8_mac_share: float = 0.0) -> ArtifactFacts:
    segments = [segment(name, mega_macs=macs, int8_mac_share=int8_mac_share) for name, macs in (("a", 2.0), ("b", 6.0))]
    return artifact_facts(*segments, quantization=quantization)


def test_work_without_exits_is_everything_once():
    assert work_of(facts(), MEMORY, [0.0, 1.0], 1) == Work(pytest.approx(0.016), 0.0, pytest.approx(5200))


def test_work_early_exits_enter_later_segments_less_often():
    work = work_of(facts(), MEMORY, [0.75, 0.25], 1)
    assert work.giga_flops == pytest.approx(2 * (2.0 + 0.25 * 6.0) / 1e3)
    assert work.n_bytes == pytest.approx(1400 + 0.25 * 3800)


def test_work_batch_reads_the_weights_once_if_any_image_needs_them():
    work = work_of(facts(), MEMORY, [0.5, 0.5], 2)
    assert work.giga_flops == pytest.approx(2 * 2 * (2.0 + 0.5 * 6.0) / 1e3)
    assert work.n_bytes == pytest.approx(1000 + 0.75 * 3000 + 2 * (400 + 0.5 * 800))


@pytest.mark.parametrize(("quantization", "share", "ratio"), [("static_int8", 1.0, 0.25), ("dynamic_int8", 0.0, 1.0)])
def test_work_int8_activations_count_only_where_they_are_static(quantization, share, ratio):
    work = work_of(facts(quantization, 1.0), MEMORY, [0.0, 1.0], 1)
    assert work.int8_share == share
    assert work.n_bytes == pytest.approx(4000 + ratio * 1200)


def test_work_other_number_of_exits_is_refused():
    with pytest.raises(ValueError, match="zip"):
        work_of(facts(), MEMORY, [1.0], 1)


@pytest.mark.parametrize(
    ("work", "latency_ms", "bound_by", "source"),
    [
        (Work(0.1, 0.0, 1e6), 1.5, "arithmetic", "cache"),  # 1 ms of arithmetic, 0.02 ms of bytes
        (Work(0.01, 0.0, 1e8), 12.0, "memory", "memory"),  # 0.1 ms, 10 ms
        (Work(0.01, 0.0, 5e6), 1.6, "overhead", "memory"),  # 0.1 ms, 0.5 ms
        (Work(0.1, 1.0, 1e6), 0.5, "arithmetic", "cache"),  # 0.25 ms
    ],
)
def test_utilization_known_work_is_bound_by_what_it_should(work, latency_ms, bound_by, source):
    made = utilization(work, latency_ms, 0.9, PEAKS)
    assert (made.bound_by, made.bytes_from) == (bound_by, source)
    assert utilization_sentence(made).startswith(f"Bound by {bound_by}")
    assert from_json(Utilization, to_json(made)) == made


def test_utilization_hand_made_numbers():
    made = utilization(Work(0.05, 0.0, 4e6), 1.0, 0.9, PEAKS)
    assert made.gflops == pytest.approx(50.0)
    assert made.gflops / made.peak_gflops == pytest.approx(0.5)
    assert made.arithmetic_ms == pytest.approx(0.5)
    assert made.bytes_ms == pytest.approx(0.4)
    assert (made.cpu_share, made.threads, made.precision) == (0.9, 1, "float32")


def test_utilization_half_int8_takes_the_time_of_both_halves():
    made = utilization(Work(0.1, 0.5, 1e3), 1.0, 1.0, PEAKS)
    assert made.arithmetic_ms == pytest.approx(0.05 / 0.1 + 0.05 / 0.4)
    assert made.precision == "float32"


def test_utilization_unknown_peaks_still_says_what_is_reached_and_why_no_more():
    made = utilization(Work(0.05, 1.0, 4e6), 1.0, 0.9, Peaks.unknown(1, "the child died"))
    assert made.gflops == pytest.approx(50.0)
    assert made.bound_by is None
    assert "the child died" in utilization_sentence(made)


@pytest.mark.parametrize("latency_ms", [0.0, -1.0, float("nan")])
def test_utilization_no_time_is_refused(latency_ms):
    with pytest.raises(ValueError, match="expected a mean latency above 0 ms"):
        utilization(Work(1.0, 0.0, 1.0), latency_ms, 1.0, PEAKS)


@given(st.floats(1e-6, 1e3), st.floats(0, 1), st.floats(1, 1e12), st.floats(1e-3, 1e6))
def test_utilization_reached_never_exceeds_the_peak_of_a_query_slower_than_the_roofline(flops, share, n_bytes, factor):
    quick = utilization(Work(flops, share, n_bytes), 1.0, 1.0, PEAKS)
    roofline_ms = max(quick.arithmetic_ms, quick.bytes_ms)
    made = utilization(Work(flops, share, n_bytes), roofline_ms * (1 + factor), 1.0, PEAKS)
    assert made.gflops / made.peak_gflops <= 1.0
    assert (made.bound_by == "overhead") == (1 + factor > OVERHEAD_FACTOR)
