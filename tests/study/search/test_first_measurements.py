from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fakes import FakeEvaluator, small_space, start

from explorer.records import Measurement, TrialOutcome, Variant
from explorer.study.search.first_measurements import FirstMeasurements


def outcome(latency_ms: float, **more: float) -> TrialOutcome:
    metrics = {name: Measurement(value) for name, value in {"latency_ms": latency_ms, **more}.items()}
    return TrialOutcome(Variant(), metrics, "a1")


def test_evidence_same_artifact_again_is_the_first_measurement(tmp_path):
    assert FirstMeasurements(tmp_path, "w").of(outcome(1.0)) == {"latency_ms": 1.0}
    assert FirstMeasurements(tmp_path, "w").of(outcome(2.0, accuracy=0.5)) == {"latency_ms": 1.0, "accuracy": 0.5}


def test_evidence_other_world_variant_or_artifact_is_fresh(tmp_path):
    FirstMeasurements(tmp_path, "w").of(outcome(1.0))
    assert FirstMeasurements(tmp_path, "other").of(outcome(2.0)) == {"latency_ms": 2.0}
    assert FirstMeasurements(tmp_path, "w").of(replace(outcome(3.0), artifact="a2")) == {"latency_ms": 3.0}
    assert FirstMeasurements(tmp_path, "w").of(replace(outcome(4.0), variant=Variant(threads=2))) == {"latency_ms": 4.0}


def test_evidence_spoilt_file_is_made_anew(tmp_path):
    FirstMeasurements(tmp_path, "w").of(outcome(1.0))
    (file,) = tmp_path.glob("*.json")
    for spoilt in ("{", '["latency_ms"]', '{"latency_ms": "fast"}'):
        file.write_text(spoilt)
        assert FirstMeasurements(tmp_path, "w").of(outcome(2.0)) == {"latency_ms": 2.0}


def test_evidence_noisy_timings_do_not_change_what_is_proposed_and_results_stay_fresh(tmp_path: Path):
    space = small_space(sampler="tpe", n_trials=30)
    evaluators = [FakeEvaluator(noise=0.3, noise_seed=seed) for seed in (1, 2)]
    first, second = (start(space, tmp_path / str(i), evaluator) for i, evaluator in enumerate(evaluators))
    assert evaluators[0].evaluated == evaluators[1].evaluated
    pairs = zip(first.trials, second.trials, strict=True)
    assert all(a.values()["latency_ms"] != b.values()["latency_ms"] for a, b in pairs)
