import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import GAP, make_observation

from explorer.observation import Exit, Section
from explorer.records import Measurement
from explorer.study.front import front_view
from explorer.views.page.detail import export_command, latency_info, section_info, trial_detail


def test_trial_detail_unknown_trial_is_none(makers):
    assert trial_detail(front_view(makers.make_small_result()), 99) is None


def test_trial_detail_every_trial_is_json_ready(makers):
    for result in (makers.make_small_result(), makers.make_seeded_result(20)):
        for trial in result.trials:
            text = json.dumps(trial_detail(front_view(result), trial.number), allow_nan=False)
            assert json.loads(text)["trial"] == trial.number


def test_trial_detail_has_parameters_metrics_and_ratios(makers):
    detail = trial_detail(front_view(makers.make_small_result()), 1)
    assert detail["state"] == "complete"
    assert not detail["is_baseline"]
    width = next(parameter for parameter in detail["parameters"] if parameter["name"] == "width")
    assert width == {"name": "width", "title": "width", "text": "0.75", "is_varying": True}
    batch = next(parameter for parameter in detail["parameters"] if parameter["name"] == "batch_size")
    assert batch["is_varying"] is False
    latency = next(metric for metric in detail["metrics"] if metric["name"] == "latency_ms")
    assert latency["ratio_to_baseline"] == pytest.approx(1 / 3, rel=1e-6)
    assert (latency["text"], latency["gain"], latency["is_better"]) == ("1.00 ms", "3.0×", True)
    assert detail["violations"] == [{"text": "peak_memory_mib <= 1000", "amount": -1.0, "words": "holds by 1.00 MiB"}]


def test_trial_detail_unknown_metric_says_why(makers):
    result = makers.make_seeded_result(3)
    metric = next(m for m in trial_detail(front_view(result), 0)["metrics"] if m["name"] == "latency_p99_ms")
    assert metric["value"] is None
    assert metric["why"] == "p99 needs 662 queries, 400 were taken"


def test_trial_detail_failed_trial_says_why_of_every_part(makers):
    detail = trial_detail(front_view(makers.make_small_result()), 5)
    assert detail["failure"] == {"kind": "made_up", "reason": "signal SIGSEGV in measure"}
    assert detail["command"] is None
    assert detail["latency"] is detail["memory"] is None
    assert detail["sections"] == []
    assert set(detail["why"]) == {"latency", "where images leave", "memory"}
    assert detail["why"]["latency"] == "the trial has no artifact: it failed before one was stored"


def test_trial_detail_infinite_violation_is_null_with_words(makers):
    result = makers.make_result([makers.make_trial(0, {"accuracy": 0.5}, violations={"energy_mj <= 3": float("inf")})])
    (violation,) = trial_detail(front_view(result), 0)["violations"]
    assert violation["amount"] is None
    assert violation["words"] == "cannot be judged: the metric is not known"


def test_trial_detail_sections_and_memory(makers):
    classes = Section("Accuracy by class", ("class", "accuracy", "images"), (("<img src=x>", 0.5, 2), ("dog", 1.0, 3)))
    exits = (Exit(0.25, 0.7, None), Exit(0.75, 0.9, None))
    observed = make_observation(exits=exits, sections=(classes,))
    metrics = {"accuracy": 0.9, "peak_memory_mib": 80.0, "model_memory_mib": 30.0}
    detail = trial_detail(front_view(makers.make_result([makers.make_trial(0, metrics, observed=observed)])), 0)
    first, second = detail["sections"]
    assert (first["title"], first["columns"]) == ("Where images leave", ["exit", "share", "accuracy"])
    assert first["rows"] == [["exit 1", "25.0 %", "70.0 %"], ["the final head", "75.0 %", "90.0 %"]]
    assert (first["kind"], first["shares"]) == ("bars", [0.25, 0.75])
    assert second["rows"] == [["<img src=x>", "50.0 %", "2"], ["dog", "100.0 %", "3"]]
    assert [part["mib"] for part in detail["memory"]] == [50.0, 30.0]
    assert {"name": "modules", "text": "['onnxruntime']"} in detail["details"]


def test_section_info_without_ratios_is_a_table():
    info = section_info(Section("Errors", ("kind", "n"), (("large", 3), ("small", 4))))
    assert (info["kind"], info["shares"], info["rows"]) == ("table", None, [["large", "3"], ["small", "4"]])


def test_section_info_that_has_no_ratios_is_a_table():
    section = Section("Longest texts", ("text", "tokens"), (("a", 12), ("b\nc", 9)))
    assert section_info(section) == {
        "kind": "table",
        "title": "Longest texts",
        "columns": ["text", "tokens"],
        "rows": [["a", "12"], ["b c", "9"]],
        "shares": None,
    }


def test_trial_detail_latency_comes_from_the_samples_in_the_folder(makers, tmp_path):
    artifact = "8716a031ccafd45e0b64"
    metrics = {"latency_ms": Measurement(2.0, 1.9, 2.1, 300), "latency_experienced_ms": Measurement(2.1)}
    trial = makers.make_trial(2, metrics, artifact=artifact)
    result = makers.make_result([trial], folder=tmp_path)
    assert "does not have the trial's artifact" in trial_detail(front_view(result), 2)["why"]["latency"]
    folder = tmp_path / "artifacts" / artifact / "measurements"
    folder.mkdir(parents=True)
    times_ns = np.arange(1, 301) * 10_000
    np.savez(
        folder / "trial-00002.npz",
        latency_ns=times_ns,
        latency_counts=np.ones_like(times_ns),
        score_accuracy=np.zeros(4),
    )
    values = {"variant": trial.variant.to_json(), "metrics": {"latency_experienced_ms": {"value": 2.1}}}
    (folder / "trial-00002.json").write_text(json.dumps(values))
    latency = trial_detail(front_view(result), 2)["latency"]
    assert latency["n"] == 300
    assert sum(latency["counts"]) + latency["n_above"] == 300
    (folder / "trial-00002.npz").write_bytes(b"damaged")
    detail = trial_detail(front_view(result), 2)
    assert detail["latency"] is None
    assert detail["why"]["latency"] == "the trial's samples do not read: BadZipFile"


def test_latency_info_is_bounded_and_counts_stragglers_apart():
    times = np.concatenate([np.random.default_rng(0).normal(1.0, 0.01, 100_000), [500.0]])
    info = latency_info(times)
    assert len(json.dumps(info)) < 4000
    assert sum(info["counts"]) + info["n_above"] == len(times)
    assert info["max_ms"] == 500.0
    assert info["edges_ms"][-1] < 1.1
    assert len(info["edges_ms"]) == len(info["counts"]) + 1
    median = next(p for p in info["percentiles"] if p["percent"] == 50)
    assert median["low"] < median["ms"] < median["high"]


def test_latency_info_few_queries_have_no_high_percentiles():
    for times in (np.array([2.0]), np.full(30, 2.0)):
        info = latency_info(times)
        assert {p["percent"] for p in info["percentiles"]} == {5, 25, 50, 75}
        assert sum(info["counts"]) == len(times)
        json.dumps(info, allow_nan=False)


def test_export_command_names_the_study_or_its_folder(makers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = makers.make_small_result()
    assert export_command(result, 3) == "explore export made-up --trial 3"
    elsewhere = replace(result, folder=Path("my studies/it's"))
    assert export_command(elsewhere, 3) == f"explore export '{tmp_path}/my studies/it'\"'\"'s' --trial 3"


def test_trial_detail_of_a_confirmed_finalist_has_both_values_and_what_was_found(makers):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}})
    detail = trial_detail(front_view(result), 1)
    latency = {key: next(m for m in detail[key] if m["name"] == "latency_ms") for key in ("metrics", "searched")}
    assert (latency["metrics"]["value"], latency["searched"]["value"]) == (1.2, 1.0)
    assert detail["confirmation"]["probability"] == 1.0
    assert (
        trial_detail(front_view(result), 4)["confirmation"] is trial_detail(front_view(result), 4)["searched"] is None
    )


def test_trial_detail_invalid_trial_says_why(makers):
    detail = trial_detail(front_view(makers.make_near_result()), 3)
    assert (detail["state"], detail["invalid"]) == ("invalid", [GAP.sentence])


def test_trial_detail_samples_are_the_searchs_whatever_is_confirmed(makers, tmp_path):
    small = makers.make_small_result(folder=tmp_path)
    experienced = {"latency_experienced_ms": Measurement(1.1)}
    trials = [
        replace(one, outcome=replace(one.outcome, metrics={**one.outcome.metrics, **experienced}))
        for one in small.trials
    ]
    result = makers.make_confirmed(replace(small, trials=tuple(trials)), {1: {"latency_ms": 1.2}})
    folder = tmp_path / "artifacts" / "a1" / "measurements"
    folder.mkdir(parents=True)
    np.savez(
        folder / "trial-00001.npz",
        latency_ns=np.arange(1, 301) * 10_000,
        latency_counts=np.ones(300, int),
        score_accuracy=np.zeros(4),
    )
    values = {"variant": result.trial(1).variant.to_json(), "metrics": {"latency_experienced_ms": {"value": 1.1}}}
    (folder / "trial-00001.json").write_text(json.dumps(values))
    assert trial_detail(front_view(result), 1)["latency"]["n"] == 300
