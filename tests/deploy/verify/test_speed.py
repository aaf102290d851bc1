"""Latency and memory anew: what is compared with what, and who is to blame."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_bundle import write_tiny_bundle

from explorer.deploy.manifest import Confirmed, Metric
from explorer.deploy.verify import speed
from explorer.deploy.verify.bundle import Bundle, read_bundle
from explorer.deploy.verify.report import Remeasurement
from explorer.deploy.verify.speed import ALLOWANCE, speed_rows
from explorer.records import Measurement
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.task import Examples

VALIDATION = Examples(Path("inputs.npy"), Path("targets.npy"), "any", "classification", {})
STATED = {
    "latency_ms": Metric(value=1.0, low=0.9, high=1.1, n=200),
    "latency_mean_ms": Metric(value=1.0, low=0.9, high=1.1, n=200),
    "peak_memory_mib": Metric(value=100.0, n=1),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    """An honest bundle with an early exit."""
    return read_bundle(write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle", n_exits=2))


@pytest.fixture
def rows_of(bundle, tmp_path, monkeypatch):
    """The rows when one measurement after the other finds this: (milliseconds, MiB, processor share, why invalid)."""

    def rows(*found, is_same=True, are_samples=False, stated=STATED, threads=1, confirmed=None, invalid=()):
        left = list(found)

        def probed(*_):
            milliseconds, mebibytes, share, *invalid = left.pop(0)
            times = Measurement(milliseconds, 0.99 * milliseconds, 1.01 * milliseconds, 200)
            metrics = {
                "latency_ms": times,
                "latency_mean_ms": times,
                "cold_start_ms": Measurement(400 * milliseconds, n=1),
                "peak_memory_mib": Measurement(mebibytes, n=1),
                "model_memory_mib": Measurement(mebibytes - 50, n=1),
                "energy_mj": Measurement.unknown("no counters"),
            }
            found = SimpleNamespace(processor_share=share)
            return SimpleNamespace(metrics=metrics, observation=found, invalid=tuple(invalid))

        monkeypatch.setattr(speed, "_probed", probed)
        variant = bundle.manifest.variant.replaced(threads=threads)
        again_stated = confirmed and Confirmed(rounds=5, metrics=confirmed, probability=None, ties=[])
        chosen = bundle.manifest.chosen.model_copy(update={"invalid": list(invalid)})
        parts = {"metrics": stated, "variant": variant, "confirmed": again_stated, "chosen": chosen}
        manifest = bundle.manifest.model_copy(update=parts)
        again = Remeasurement(Bundle(bundle.folder, manifest), tmp_path, is_same, None, lambda _: None)
        made = {row.what: row for row in speed_rows(again, VALIDATION, are_samples)}
        assert left == [], "not as many measurements as expected"
        return made

    return rows


def verdicts(rows) -> list[str]:
    return [row.verdict for row in rows.values()]


@pytest.mark.parametrize("milliseconds", [0.4, 1.0, 1.1, 1.1 * (1 + ALLOWANCE)])
def test_speed_rows_within_the_widened_interval_hold_at_once(rows_of, milliseconds):
    assert verdicts(rows_of((milliseconds, 100.0, 1.0))) == ["holds"] * 3


def test_speed_rows_less_than_stated_says_so(rows_of):
    assert rows_of((0.5, 100.0, 1.0))["latency_ms"].why == "and less than is stated"
    assert rows_of((1.0, 100.0, 1.0))["latency_ms"].why == ""


def test_speed_rows_slower_each_time_fail(rows_of):
    rows = rows_of(*[(1.3, 100.0, 0.99)] * 3)
    assert verdicts(rows) == ["fails", "fails", "holds"]
    assert rows["latency_ms"].why == "more than 10 % above the stated interval in each of 3 measurements"


def test_speed_rows_slower_at_first_hold_by_the_best(rows_of):
    rows = rows_of((1.5, 100.0, 1.0), (1.05, 100.0, 1.0))
    assert verdicts(rows) == ["holds"] * 3
    assert rows["latency_ms"].found.value == 1.05


def test_speed_rows_slower_on_a_busy_machine_are_not_comparable(rows_of):
    rows = rows_of(*[(1.3, 100.0, 0.7)] * 3)
    assert verdicts(rows) == ["not comparable", "not comparable", "holds"]
    assert rows["latency_ms"].why.startswith("other processes had the core for 30 % of the time")


def test_speed_rows_slower_with_the_core_to_itself_once_fail(rows_of):
    assert verdicts(rows_of((1.4, 100.0, 0.5), (1.3, 100.0, 0.99), (1.5, 100.0, 0.5)))[0] == "fails"


def test_speed_rows_compare_the_best_valid_measurement(rows_of):
    rows = rows_of((0.5, 100.0, 1.0, "a gap"), (1.3, 100.0, 1.0), (0.5, 100.0, 1.0, "a gap"))
    assert verdicts(rows) == ["fails", "fails", "holds"]
    assert rows["latency_ms"].found.value == 1.3


def test_speed_rows_invalid_at_first_hold_by_a_valid_one(rows_of):
    rows = rows_of((1.0, 100.0, 1.0, "a gap"), (1.05, 120.0, 1.0))
    assert verdicts(rows) == ["holds"] * 3
    assert [row.found.value for row in rows.values()] == [1.05, 1.05, 100.0]


@pytest.mark.parametrize("milliseconds", [0.5, 1.0])
def test_speed_rows_never_valid_and_within_hold_and_say_so(rows_of, milliseconds):
    rows = rows_of(*[(milliseconds, 100.0, 1.0, "the hypervisor took 20%")] * 3)
    assert verdicts(rows) == ["holds"] * 3
    assert rows["latency_ms"].why == "none of 3 measurements was valid: the hypervisor took 20%"
    assert rows["peak_memory_mib"].why == ""


def test_speed_rows_never_valid_and_slower_are_not_comparable(rows_of):
    rows = rows_of(*[(5.0, 100.0, 1.0, "the hypervisor took 20%")] * 3)
    assert verdicts(rows) == ["not comparable", "not comparable", "holds"]
    assert rows["latency_ms"].why == (
        "none of 3 measurements was valid: the hypervisor took 20%; stop what else runs and try again"
    )


def test_speed_rows_whose_times_are_not_compared_take_one_measurement(rows_of):
    rows = rows_of((50.0, 100.0, 1.0, "a gap"), are_samples=True)
    assert verdicts(rows) == ["not comparable", "not comparable", "holds"]


def test_speed_rows_more_memory_fails_however_busy(rows_of):
    rows = rows_of(*[(1.0, 111.0, 0.5)] * 3)
    assert verdicts(rows) == ["holds", "holds", "fails"]


def test_speed_rows_other_device_is_shown_and_never_failed(rows_of):
    rows = rows_of((50.0, 900.0, 1.0), is_same=False)
    assert verdicts(rows) == ["not comparable"] * 3
    assert rows["latency_ms"].found.value == 50.0


def test_speed_rows_early_exits_on_samples_alone_are_not_comparable(rows_of):
    assert verdicts(rows_of((50.0, 100.0, 1.0), are_samples=True)) == ["not comparable", "not comparable", "holds"]


def test_speed_rows_not_stated_have_none(rows_of):
    assert rows_of((1.0, 100.0, 1.0), stated={}) == {}
    unknown = {"latency_ms": Metric(value=None, why="nobody timed it")}
    assert rows_of((1.0, 100.0, 1.0), stated=unknown) == {}


@pytest.mark.parametrize(("value", "low", "high"), [(0.5, 0.1, 100.0), (0.7, 0.69, 1e6), (1e-3, 1e-3, 1.0)])
def test_speed_rows_wide_interval_does_not_hold_what_is_far_from_its_value(rows_of, value, low, high):
    stated = {"latency_ms": Metric(value=value, low=low, high=high, n=200)}
    assert verdicts(rows_of(*[(1.0, 100.0, 1.0)] * 3, stated=stated)) == ["fails"]


def test_speed_rows_many_times_what_is_found_is_no_promise_that_is_kept(rows_of):
    rows = rows_of((0.3, 30.0, 1.0))
    assert verdicts(rows) == ["fails"] * 3
    assert rows["latency_ms"].why == "more than 3 times what is found here is stated"


def test_speed_rows_times_that_the_study_did_not_believe_may_be_too_long(rows_of):
    assert verdicts(rows_of((0.1, 100.0, 1.0), invalid=["others had its core"])) == ["holds"] * 3
    assert verdicts(rows_of(*[(5.0, 100.0, 1.0)] * 3, invalid=["others had its core"]))[0] == "fails"


def test_speed_rows_confirmed_values_are_compared_too(rows_of):
    again = {"latency_ms": Metric(value=0.5, low=0.4, high=0.6, n=5), "peak_memory_mib": Metric(value=90.0, n=1)}
    rows = rows_of(*[(1.0, 100.0, 1.0)] * 3, confirmed=again)
    assert {name: row.verdict for name, row in rows.items()} == {
        **dict.fromkeys(STATED, "holds"),
        "confirmed latency_ms": "fails",
        "confirmed peak_memory_mib": "fails",
    }


def test_speed_rows_many_times_slower_fails_however_busy(rows_of):
    assert verdicts(rows_of(*[(50.0, 100.0, 0.7)] * 3))[:2] == ["fails", "fails"]
    assert verdicts(rows_of(*[(50.0, 100.0, 1.0, "the hypervisor took 20%")] * 3))[:2] == ["fails", "fails"]


@pytest.mark.parametrize(
    ("cold_start_ms", "verdict"),
    [(90.0, "holds"), (400.0, "holds"), (3900.0, "holds"), (70.0, "fails"), (4100.0, "fails")],
)
def test_speed_rows_cold_start_is_compared_roughly(rows_of, cold_start_ms, verdict):
    n = 1 if cold_start_ms > 80 else 3
    rows = rows_of(*[(1.0, 100.0, 1.0)] * n, stated={"cold_start_ms": Metric(value=cold_start_ms, n=1)})
    assert verdicts(rows) == [verdict]


@pytest.mark.parametrize(("mebibytes", "verdict"), [(50.0, "holds"), (45.0, "holds"), (10.0, "fails"), (90.0, "fails")])
def test_speed_rows_memory_of_the_model_leaves_that_of_the_bare_runtime(rows_of, mebibytes, verdict):
    stated = {"peak_memory_mib": Metric(value=100.0, n=1), "model_memory_mib": Metric(value=mebibytes, n=1)}
    assert rows_of((1.0, 100.0, 1.0), stated=stated)["model_memory_mib"].verdict == verdict


def test_speed_rows_energy_that_cannot_be_measured_here_is_not_comparable(rows_of):
    row = rows_of((1.0, 100.0, 1.0), stated={"energy_mj": Metric(value=3.0, n=1)})["energy_mj"]
    assert (row.verdict, row.how) == ("not comparable", "sender's word")
    assert row.why == "it cannot be measured here: no counters"


def test_speed_rows_more_threads_than_cores_are_not_checked(rows_of):
    rows = rows_of(threads=100_000)
    assert verdicts(rows) == ["not checked"] * 3
    assert "100000 threads need as many cores" in rows["latency_ms"].why


def test_speed_rows_crash_fails_with_its_reason(bundle, tmp_path, monkeypatch):
    def crash(*_):
        raise WorkerFailed("timeout in latency", "no answer in phase 'latency' for 300 s")

    monkeypatch.setattr(speed, "_probed", crash)
    (row,) = speed_rows(Remeasurement(bundle, tmp_path, True, None, lambda _: None), VALIDATION, False)
    assert (row.what, row.verdict) == ("latency_ms", "fails")
    assert row.found == "the probe failed: no answer in phase 'latency' for 300 s"
