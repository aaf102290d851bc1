import json

import numpy as np
import pytest

from explorer.intervals import Z, paired_share_difference
from explorer.records import Measurement, Variant
from explorer.study.front import front_view
from explorer.views.page import compare as module
from explorer.views.page.compare import EXACT, MOVER, SINGLE, compare


def two(makers, first, second, variants=(None, None)):
    """A study of two trials with these metrics."""
    space = makers.make_space(objectives=makers.OBJECTIVES[:1])
    trials = [makers.make_trial(n, m, v) for n, (m, v) in enumerate(zip((first, second), variants, strict=True))]
    return makers.make_result(trials, space)


def rows(result, first=0, second=1):
    return {row["name"]: row for row in compare(front_view(result), first, second)["metrics"]}


@pytest.fixture
def keep_samples(monkeypatch):
    """Gives trials samples without files: `keep_samples[number] = Samples(...)`."""
    kept = {}
    monkeypatch.setattr(module, "trial_samples", lambda result, trial: kept.get(trial.number, "no samples"))
    return kept


def samples(latency_ns=(1,), **scores):
    return module.Samples(
        np.array(latency_ns),
        np.arange(len(latency_ns)),
        {name: np.asarray(of, np.float64) for name, of in scores.items()},
    )


def test_compare_unknown_trial_is_none(makers):
    result = makers.make_small_result()
    assert compare(front_view(result), 0, 99) is None
    assert compare(front_view(result), 99, 0) is None


def test_compare_is_json_ready_for_every_pair(makers):
    result = makers.make_small_result()
    for first in range(6):
        for second in range(6):
            json.dumps(compare(front_view(result), first, second), allow_nan=False)
    assert compare(front_view(result), 0, 5) == {"first": 0, "second": 5, "metrics": []}


def test_compare_independent_intervals_give_movers_interval(makers):
    first = {"accuracy": 0.9, "latency_ms": Measurement(10.0, 9.0, 11.0, 100)}
    second = {"accuracy": 0.9, "latency_ms": Measurement(12.0, 11.2, 13.5, 100)}
    row = rows(two(makers, first, second))["latency_ms"]
    assert row["method"] == MOVER
    assert row["difference"] == 2.0
    assert row["low"] == pytest.approx(2.0 - np.hypot(0.8, 1.0))
    assert row["high"] == pytest.approx(2.0 + np.hypot(1.5, 1.0))
    assert (row["is_tie"], row["better"]) == (False, "first")


def test_compare_overlapping_intervals_are_a_tie(makers):
    first = {"latency_ms": Measurement(10.0, 9.0, 11.0, 100)}
    second = {"latency_ms": Measurement(10.5, 9.5, 11.5, 100)}
    row = rows(two(makers, first, second))["latency_ms"]
    assert (row["is_tie"], row["better"]) == (True, None)


def test_compare_counts_are_exact_and_single_numbers_cannot_be_told(makers):
    first = {"n_parameters": 100.0, "mega_macs": 5.0, "peak_memory_mib": Measurement(80.0, n=1)}
    second = {"n_parameters": 90.0, "mega_macs": 5.0, "peak_memory_mib": Measurement(70.0, n=1)}
    found = rows(two(makers, first, second))
    assert (found["n_parameters"]["method"], found["n_parameters"]["better"]) == (EXACT, "second")
    assert (found["mega_macs"]["is_tie"], found["mega_macs"]["better"]) == (True, None)
    assert found["peak_memory_mib"]["method"] == SINGLE
    assert found["peak_memory_mib"]["is_tie"] is found["peak_memory_mib"]["better"] is None
    assert found["peak_memory_mib"]["difference"] == -10.0


def test_compare_a_trial_with_itself_is_a_tie_everywhere(makers):
    result = two(makers, {"accuracy": 0.9, "peak_memory_mib": Measurement(80.0, n=1)}, {"accuracy": 0.8})
    assert all(row["is_tie"] and row["difference"] == 0.0 for row in compare(front_view(result), 0, 0)["metrics"])


def test_compare_quality_is_paired_by_its_scores(makers, keep_samples):
    n = 1000
    first, second = np.arange(n) < 900, (np.arange(n) < 900) ^ (np.arange(n) >= 980)
    keep_samples[0], keep_samples[1] = samples(accuracy=first), samples(accuracy=second)
    wide = {"accuracy": Measurement(0.90, 0.88, 0.92, n)}, {"accuracy": Measurement(0.92, 0.90, 0.94, n)}
    row = rows(two(makers, *wide))["accuracy"]
    expected = paired_share_difference(first, second)
    assert row["method"] == "paired: right on other images, 20 of 1000"
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), rel=1e-5)
    assert (row["is_tie"], row["better"]) == (False, "second")


def test_compare_scores_that_are_no_hits_are_paired_by_their_differences(makers, keep_samples):
    rng = np.random.default_rng(0)
    first = rng.random(500)
    gaps = rng.normal(0.01, 0.02, 500)
    keep_samples[0], keep_samples[1] = samples(accuracy=first), samples(accuracy=first + gaps)
    metrics = ({"accuracy": Measurement(float(one.mean()), 0.4, 0.6, 500)} for one in (first, first + gaps))
    row = rows(two(makers, *metrics))["accuracy"]
    assert row["method"] == "paired: other scores on 500 of 500 images"
    assert row["high"] - row["low"] == pytest.approx(2 * Z * gaps.std(ddof=1) / np.sqrt(500), rel=1e-5)


def test_compare_mean_latency_is_paired_by_query_with_equal_batches(makers, keep_samples):
    rng = np.random.default_rng(0)
    image_ns = rng.choice([1e6, 9e6], 400)  # early exits: the images differ far more than the variants
    keep_samples[0] = samples((image_ns + rng.normal(0, 1e4, 400)).astype(int))
    keep_samples[1] = samples((image_ns + 5e4 + rng.normal(0, 1e4, 400)).astype(int)[:380])
    metrics = [{"latency_mean_ms": Measurement(5.0 + d, 4.6 + d, 5.4 + d, 400)} for d in (0.0, 0.05)]
    row = rows(two(makers, *metrics))["latency_mean_ms"]
    assert row["method"] == "paired: 380 queries of the same images in the same order"
    assert (row["is_tie"], row["better"]) == (False, "first")
    assert row["high"] - row["low"] < 0.01
    batches = two(makers, *metrics, variants=(Variant(), Variant(batch_size=4)))
    assert rows(batches)["latency_mean_ms"]["method"] == MOVER
    assert rows(batches)["latency_mean_ms"]["is_tie"] is True


def test_compare_confirmed_finalists_are_paired_by_their_hits(makers, keep_samples):
    keep_samples[0] = keep_samples[1] = samples(accuracy=np.zeros(1000))
    again = {0: {"latency_ms": (2.9, 3.0, 3.0, 3.1, 3.0)}, 1: {"latency_ms": (1.1, 1.2, 1.2, 1.2, 1.3)}}
    result = makers.make_confirmed(makers.make_small_result(), again)
    found = rows(result)
    expected = paired_share_difference(np.arange(1000) < 920, np.arange(1000) < 900)
    assert found["accuracy"]["method"] == "paired: right on other images, 20 of 1000"
    assert found["accuracy"]["low"] == pytest.approx(expected.low, rel=1e-5)
    assert (found["accuracy"]["difference"], found["accuracy"]["better"]) == (-0.02, "first")
    assert (found["latency_ms"]["second"], found["latency_ms"]["method"]) == (1.2, MOVER)


def test_compare_a_confirmed_trial_with_another_is_paired_in_accuracy_but_not_in_its_times(makers, keep_samples):
    rng = np.random.default_rng(0)
    keep_samples.update({n: samples(rng.normal(1e6, 1e3, 400).astype(int), accuracy=np.zeros(1000)) for n in range(4)})
    metrics = [{"accuracy": 0.9, "latency_mean_ms": Measurement(1.0 + d, 0.9 + d, 1.1 + d, 400)} for d in (0.0, 0.05)]
    again = {0: {"latency_mean_ms": (2.9, 3.0, 3.0, 3.1, 3.0)}}
    mixed = rows(makers.make_confirmed(two(makers, *metrics), again, finalists=[0]))
    assert mixed["accuracy"]["method"].startswith("paired: right on other images")
    assert mixed["latency_mean_ms"]["method"] == MOVER
    assert rows(two(makers, *metrics))["latency_mean_ms"]["method"].startswith("paired: 400 queries")
    result = makers.make_confirmed(makers.make_small_result(), finalists=[0, 1])
    assert rows(result, 1, 3)["accuracy"]["method"].startswith("paired: right on other images")
    assert rows(result, 2, 3)["accuracy"]["method"].startswith("paired: right on other images")
