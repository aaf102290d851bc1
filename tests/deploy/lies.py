"""Lies that a manifest can tell when whoever tells them sees to it that the seal fits: each with the row that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from explorer import intervals

Facts = dict[str, Any]


def metric(name: str, **numbers: Any) -> Callable[[Facts], Any]:
    """Another value, interval or number of samples of a metric of the search."""
    return lambda facts: facts["metrics"][name].update(numbers)


def confirmed(name: str, **numbers: Any) -> Callable[[Facts], Any]:
    """The same of a confirmed value."""
    return lambda facts: facts["confirmed"]["metrics"][name].update(numbers)


def times(factor: float, *names: str, of: str = "metrics") -> Callable[[Facts], Any]:
    """Value and interval of these metrics, so many times as large."""

    def change(facts: Facts) -> None:
        metrics = facts["metrics"] if of == "metrics" else facts["confirmed"]["metrics"]
        for name in names:
            for end in ("value", "low", "high"):
                if metrics[name].get(end) is not None:
                    metrics[name][end] *= factor

    return change


def with_test_accuracy(**numbers: Any) -> Callable[[Facts], Any]:
    return lambda facts: facts["test_accuracy"].update(numbers)


def hits_of(n: int, hits: int) -> Facts:
    """What a share of so many images would be stated as."""
    return intervals.share(hits, n).to_json()


CONTRADICTIONS = [
    pytest.param(what, change, id=name)
    for name, what, change in (
        # values that nothing measures
        ("accuracy_of_500_percent", "accuracy", metric("accuracy", value=5.0, low=0.0, high=10.0)),
        ("accuracy_below_zero", "accuracy", metric("accuracy", value=-3.0, low=-5.0, high=1.0)),
        ("test_accuracy_of_500_percent", "test accuracy", with_test_accuracy(value=5.0, low=0.0, high=10.0)),
        ("confirmed_accuracy_of_500_percent", "confirmed accuracy", confirmed("accuracy", value=5.0, high=10.0)),
        ("latency_of_zero", "latency_ms", metric("latency_ms", value=0.0, low=0.0, high=1.0)),
        ("latency_below_zero", "latency_ms", metric("latency_ms", value=-1.0, low=-2.0)),
        ("latency_of_a_picosecond", "latency_ms", metric("latency_ms", value=1e-9, low=1e-9, high=1e-9)),
        ("latency_without_end", "latency_ms", metric("latency_ms", value=1e300, high=1e300)),
        ("p95_of_zero", "latency_p95_ms", metric("latency_p95_ms", value=0.0, low=0.0)),
        ("memory_of_nothing", "peak_memory_mib", metric("peak_memory_mib", value=0.0)),
        ("cold_start_of_a_microsecond", "cold_start_ms", metric("cold_start_ms", value=1e-3)),
        ("energy_below_zero", "energy_mj", lambda f: f["metrics"].update(energy_mj={"value": -1.0, "n": 1})),
        ("cost_below_zero", "cost_usd_per_million", metric("cost_usd_per_million", value=-1.0, low=-2.0)),
        ("parameters_by_halves", "n_parameters", metric("n_parameters", value=10.5)),
        ("confirmed_latency_of_a_picosecond", "confirmed latency_ms",
         confirmed("latency_ms", value=1e-9, low=1e-9, high=1e-9)),
        ("confirmed_memory_of_nothing", "confirmed peak_memory_mib", confirmed("peak_memory_mib", value=0.0, low=0.0)),
        # intervals
        ("accuracy_of_a_wide_interval", "accuracy", metric("accuracy", low=0.0, high=1.0)),
        ("accuracy_of_a_narrow_interval", "accuracy", lambda f: f["metrics"]["accuracy"].update(
            low=f["metrics"]["accuracy"]["value"], high=f["metrics"]["accuracy"]["value"])),
        ("accuracy_without_an_interval", "accuracy", metric("accuracy", low=None, high=None)),
        ("test_accuracy_of_a_wide_interval", "test accuracy", with_test_accuracy(low=0.0, high=1.0)),
        ("value_above_its_interval", "latency_ms", metric("latency_ms", value=1.22)),
        ("ends_the_other_way_round", "latency_mean_ms", metric("latency_mean_ms", low=1.3, high=1.2)),
        ("mean_of_a_moved_interval", "latency_mean_ms", metric("latency_mean_ms", low=0.5)),
        ("mean_of_an_interval_without_width", "latency_mean_ms", metric("latency_mean_ms", low=1.25, high=1.25)),
        ("median_of_an_interval_without_width", "latency_ms", metric("latency_ms", low=1.2, high=1.2)),
        ("interval_from_below_zero", "latency_ms", metric("latency_ms", low=-1.0)),
        ("size_with_an_interval", "artifact_size_mib", metric("artifact_size_mib", low=0.0, high=1e6)),
        ("memory_with_an_interval", "peak_memory_mib", metric("peak_memory_mib", low=1.0, high=1e5)),
        ("confirmed_latency_of_a_moved_interval", "confirmed latency_ms", confirmed("latency_ms", low=0.01)),
        ("confirmed_latency_without_width", "confirmed latency_ms", confirmed("latency_ms", low=1.2, high=1.2)),
        ("confirmed_accuracy_of_another_interval", "confirmed accuracy", confirmed("accuracy", low=0.5)),
        # numbers of samples
        ("accuracy_of_more_images", "accuracy", lambda f: f["metrics"].update(accuracy=hits_of(20_000, 19_000))),
        ("accuracy_of_no_images", "accuracy", metric("accuracy", n=0)),
        ("accuracy_of_unknown_images", "accuracy", metric("accuracy", n=None)),
        ("accuracy_between_two_images", "accuracy", metric("accuracy", value=0.9013)),
        ("test_accuracy_of_fewer_images", "test accuracy",
         lambda f: f.update(test_accuracy=hits_of(10, 9))),
        ("latency_of_a_billion_queries", "latency_mean_ms", lambda f: [
            f["metrics"][name].update(n=10**9) for name in f["metrics"] if name.startswith("latency") and
            f["metrics"][name]["value"]]),
        ("median_of_other_queries_than_the_mean", "latency_ms", metric("latency_ms", n=100_000)),
        ("latency_of_more_samples_than_there_are", "latency_ms", metric("latency_ms", n=2**53)),
        ("p99_of_few_queries", "latency_p99_ms", lambda f: f["metrics"].update(
            latency_p99_ms={"value": 1.6, "low": 1.5, "high": 1.7, "n": 200})),
        ("memory_of_many_samples", "peak_memory_mib", metric("peak_memory_mib", n=50)),
        ("confirmed_in_more_rounds_than_there_were", "confirmed latency_ms", confirmed("latency_ms", n=6)),
        ("confirmed_in_too_few_rounds", "confirmed latency_ms", confirmed("latency_ms", n=2)),
        ("fewer_rounds_than_its_values_have", "confirmed latency_ms", lambda f: f["confirmed"].update(rounds=3)),
        # numbers that follow from others
        ("throughput_doubled", "throughput_per_s", times(2, "throughput_per_s")),
        ("throughput_of_a_wide_interval", "throughput_per_s", metric("throughput_per_s", low=1.0, high=1e6)),
        ("cost_halved", "cost_usd_per_million", times(0.5, "cost_usd_per_million")),
        ("prices_halved", "cost_usd_per_million", lambda f: f["provenance"]["search_space"]["device"].update(
            hardware_usd_per_hour=0.025)),
        ("tails_below_the_median", "latency_p90_ms", times(0.5, "latency_p90_ms")),
        ("tail_beyond_its_mean", "latency_p95_ms", times(100, "latency_p95_ms")),
        ("model_larger_than_the_process", "model_memory_mib", metric("model_memory_mib", value=65.0)),
        ("process_larger_than_the_device", "peak_memory_mib", metric("peak_memory_mib", value=2.0**29)),
        ("half_the_size", "artifact_size_mib", times(0.5, "artifact_size_mib")),
        ("half_the_parameters", "n_parameters", times(0.5, "n_parameters")),
        ("half_the_compute", "mega_macs", times(0.5, "mega_macs")),
        ("confirmed_compute_halved", "confirmed mega_macs", times(0.5, "mega_macs", of="confirmed")),
        ("confirmed_size_halved", "confirmed artifact_size_mib", times(0.5, "artifact_size_mib", of="confirmed")),
        ("confirmed_throughput_doubled", "confirmed throughput_per_s", times(2, "throughput_per_s", of="confirmed")),
        ("confirmed_cost_halved", "confirmed cost_usd_per_million", times(0.5, "cost_usd_per_million", of="confirmed")),
        ("confirmed_tails_below_the_median", "confirmed latency_p90_ms", times(0.5, "latency_p90_ms", of="confirmed")),
        ("confirmed_far_from_the_search", "confirmed latency_ms", times(0.2, "latency_ms", of="confirmed")),
        ("confirmed_memory_far_from_the_search", "confirmed peak_memory_mib",
         times(0.2, "peak_memory_mib", of="confirmed")),
        ("confirmed_throughput_of_other_rounds", "confirmed throughput_per_s",
         confirmed("throughput_per_s", value=1e9, low=0.9e9, high=1.1e9, n=4)),
        ("confirmed_cost_of_other_rounds", "confirmed cost_usd_per_million",
         confirmed("cost_usd_per_million", value=1e-9, low=0.9e-9, high=1.1e-9, n=4)),
        ("confirmed_cost_beside_a_wide_memory", "confirmed cost_usd_per_million", lambda f: [
            confirmed("peak_memory_mib", low=0.0, high=1e6)(f),
            times(0.01, "cost_usd_per_million", of="confirmed")(f)]),
        ("confirmed_throughput_beside_a_wide_mean", "confirmed throughput_per_s", lambda f: [
            f["confirmed"].update(rounds=4), *(one.update(n=4) for one in f["confirmed"]["metrics"].values()
                                               if one.get("n") == 5),
            confirmed("latency_mean_ms", low=0.0, high=1e3)(f), times(9, "throughput_per_s", of="confirmed")(f)]),
        # what stands beside the metrics
        ("tolerance_widened", "tolerance", lambda f: f["samples"].update(tolerance=1e9)),
        ("tolerance_widened_a_little", "tolerance", lambda f: f["samples"].update(tolerance=2e-4)),
        ("exit_shares_of_more_than_all", "exit shares", lambda f: f.update(exit_shares=[0.75, 0.75])),
        ("exit_shares_moved", "mega_macs", lambda f: f.update(exit_shares=[0.75, 0.25])),
        ("exit_shares_between_two_images", "exit shares", lambda f: f.update(exit_shares=[0.7501, 0.2499])),
        ("exit_shares_too_many", "exit shares", lambda f: f["exit_shares"].append(0.0)),
        ("exit_shares_below_zero", "exit shares", lambda f: f.update(exit_shares=[2.0, -1.0])),
        ("gray_called_rgb", "input", lambda f: f["input_facts"].update(color="RGB")),
        ("probabilities_called_logits", "input", lambda f: f["outputs"][0].update(name="probabilities")),
        ("other_number_of_validation_images", "data", lambda f: f["provenance"]["data"].update(n_validation=5000)),
        ("feasible_beyond_a_constraint", "choice", lambda f: f["provenance"]["search_space"].update(
            constraints=[{"metric": "latency_ms", "comparison": "<=", "bound": 0.1, "is_relative": False}])),
        ("other_trial_than_its_name", "choice", lambda f: f["chosen"].update(trial=7)),
        ("other_seed_than_its_search_space", "provenance", lambda f: f["provenance"]["search_space"].update(
            search={"seed": 7})),
        ("tied_with_itself", "membership of the front", lambda f: f["confirmed"].update(ties=[1])),
    )
]  # fmt: skip
"""What contradicts itself, or what can be measured at all: nothing has to run for it."""
