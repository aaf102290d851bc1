"""Contradictions: no number of a manifest passes that cannot be true, and every honest one does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lies import CONTRADICTIONS, confirmed, metric
from tiny_bundle import change_manifest, state, write_tiny_bundle

from explorer import intervals
from explorer.deploy.verify.bundle import read_bundle
from explorer.deploy.verify.contradictions import contradictions, is_symmetric
from explorer.deploy.verify.samples import read_samples
from explorer.errors import VerificationFailed
from explorer.measure.metrics import Prices, cost
from explorer.records import Measurement, Variant
from explorer.study.confirm.confirmed_values import over_rounds


def faults(folder: Path) -> dict[str, str]:
    bundle = read_bundle(folder)
    return contradictions(bundle, read_samples((folder / "samples.npz").read_bytes(), bundle.manifest))


@pytest.mark.parametrize("variant", [Variant(runtime="onnxruntime"), Variant(runtime="onnxruntime", batch_size=4)])
def test_contradictions_honest_has_none(tmp_path, variant):
    assert faults(write_tiny_bundle(tmp_path / "bundle", variant=variant)) == {}


def test_contradictions_honest_with_exits_has_none(whole):
    assert faults(whole) == {}


@pytest.mark.parametrize(("what", "change"), CONTRADICTIONS)
def test_contradictions_lie_is_found_in_its_row(bundle, what, change):
    change_manifest(bundle, change)
    found = faults(bundle)
    assert what in found
    assert found[what]


@pytest.mark.parametrize(("name", "why"), [("0", "twice"), (" ", "one of the classes has no name")])
def test_classes_that_are_not_a_classifications_are_refused_before_anything_is_compared(bundle, name, why):
    change_manifest(bundle, lambda facts: facts["task"]["facts"]["classes"].__setitem__(1, name))
    with pytest.raises(VerificationFailed, match=why):
        read_bundle(bundle)


def test_contradictions_sample_that_was_wrong_forbids_an_accuracy_of_one(bundle):
    def boast(facts) -> None:
        facts["metrics"]["accuracy"] = facts["confirmed"]["metrics"]["accuracy"] = intervals.share(200, 200).to_json()

    manifest, folder = read_bundle(bundle).manifest, bundle
    samples = read_samples((folder / "samples.npz").read_bytes(), manifest)
    n_wrong = int((samples.answers.argmax(axis=1) != samples.targets).sum())
    change_manifest(bundle, boast)
    assert ("accuracy" in faults(bundle)) == (n_wrong > 0)


def test_contradictions_latency_below_what_the_products_take_fails_on_any_device(bundle):
    """Five million products in 200 ns."""

    def change(facts) -> None:
        for part in (facts["metrics"], facts["confirmed"]["metrics"]):
            for name in ("latency_ms", "latency_mean_ms", "latency_p90_ms", "latency_p95_ms"):
                part[name].update(value=2e-4, low=1.9e-4, high=2.1e-4)
        facts["provenance"]["device"]["processor"] = "Abacus 9000"

    artifact = bundle / "model" / "artifact.json"
    artifact.write_text(artifact.read_text().replace('"mega_macs": 0.00064', '"mega_macs": 1000.0'))
    state(bundle, "model/artifact.json")
    change_manifest(bundle, change)
    assert "on the fastest cores there are" in faults(bundle)["latency_ms"]


def test_contradictions_unknown_and_missing_metrics_are_none(bundle):
    def change(facts) -> None:
        facts["metrics"]["latency_ms"] = {"value": None, "why": "nobody timed it"}
        facts["metrics"]["elegance"] = {"value": 1e9, "low": None, "high": None, "n": None}
        del facts["metrics"]["latency_mean_ms"]
        facts["provenance"]["search_space"] = {}

    change_manifest(bundle, change)
    assert faults(bundle) == {}


@pytest.mark.parametrize("limits", [None, "all", [None], [{"metric": 3}], [{"metric": "latency_ms", "bound": "x"}]])
def test_contradictions_constraints_that_do_not_read_are_none(bundle, limits):
    change_manifest(bundle, lambda facts: facts["provenance"]["search_space"].update(constraints=limits))
    assert faults(bundle) == {}


GIANT = 10**4299
"""The longest whole number that Python makes a text of has one digit more."""


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("metrics.latency_ms", metric("latency_ms", n=GIANT)),
        ("confirmed.metrics.latency_ms", confirmed("latency_ms", n=GIANT)),
        ("confirmed.rounds", lambda facts: facts["confirmed"].update(rounds=GIANT)),
        ("variant.batch_size", lambda facts: facts["variant"].update(batch_size=GIANT)),
        ("variant.threads", lambda facts: facts["variant"].update(threads=GIANT)),
        ("files.README.md.bytes", lambda facts: facts["files"]["README.md"].update(bytes=GIANT)),
        ("provenance.seed", lambda facts: facts["provenance"].update(seed=GIANT)),
        ("samples.n", lambda facts: facts["samples"].update(n=GIANT)),
    ],
)
def test_contradictions_giant_numbers_are_refused_before(bundle, field, change):
    change_manifest(bundle, change)
    with pytest.raises(VerificationFailed, match=field):
        read_bundle(bundle)


@pytest.mark.parametrize("part", ["data", "search", "device", "constraints"])
def test_contradictions_giant_numbers_of_the_search_space_are_sentences(bundle, part):
    values = {"validation": GIANT, "seed": GIANT, "hardware_usd_per_hour": GIANT, "bound": GIANT}

    def change(facts) -> None:
        facts["provenance"]["search_space"][part] = [values] if part == "constraints" else values

    change_manifest(bundle, change)
    assert all(isinstance(why, str) for why in faults(bundle).values())


@pytest.mark.parametrize("n_rounds", [1, 2, 3, 4, 6, 7])
def test_contradictions_honest_rounds_of_any_number_have_none(bundle, n_rounds):
    """Medians of an even number of rounds lie between two of them."""
    prices = Prices(0.05, 0.005, 0.0)
    means = [1.0, 1.6, 1.2, 1.9, 1.1, 1.4, 1.3][:n_rounds]
    peaks = [60.0, 61.0, 60.5, 60.0, 62.0, 60.0, 60.1][:n_rounds]
    known = {
        "latency_mean_ms": [Measurement(mean, n=50) for mean in means],
        "throughput_per_s": [Measurement(1000 / mean, n=50) for mean in means],
        "peak_memory_mib": [Measurement(peak, n=1) for peak in peaks],
        "cost_usd_per_million": [
            cost(prices, Measurement(m, n=50), Measurement(p), 1) for m, p in zip(means, peaks, strict=True)
        ],
    }

    def change(facts) -> None:
        facts["confirmed"]["rounds"] = n_rounds
        facts["confirmed"]["metrics"] = {name: over_rounds(values).to_json() for name, values in known.items()}

    change_manifest(bundle, change)
    assert faults(bundle) == {}


def test_is_symmetric_is_cut_at_the_least_value():
    assert is_symmetric(Measurement(1.0, 0.5, 1.5))
    assert not is_symmetric(Measurement(1.0, 0.5, 1.6))
    assert is_symmetric(Measurement(1.0, 0.0, 3.0), least=0.0)
    assert is_symmetric(Measurement(1.0))
    assert not is_symmetric(Measurement(1.0, None, 1.5))


def test_lies_are_told_of_every_number(whole):
    """A metric that is added without a lie about it is one that nobody looks at."""
    told = {str(lie.values[0]).removeprefix("confirmed ") for lie in CONTRADICTIONS}
    known = json.loads((whole / "manifest.json").read_text())["metrics"]
    assert set(known) - told == set()
