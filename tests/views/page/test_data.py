from __future__ import annotations

import base64
import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer.metrics import Constraint
from explorer.records import Measurement, Stage, Variant
from explorer.study.front import front_view
from explorer.views.page.columns import known, rounded
from explorer.views.page.data import MAX_PLAIN, page_data, trial_rows


@pytest.fixture
def confirmed(makers):
    changes = {1: {"latency_ms": (1.1, 1.2, 1.3, 1.2, 1.2)}}
    return makers.make_confirmed(makers.make_small_result(), changes, finalists=[0, 1, 2])


def test_page_data_confirmed_finalists_have_confirmed_values_and_the_searchs_beside(confirmed):
    data = page_data(front_view(confirmed))
    trials, said = data["trials"], data["confirmation"]
    assert trials["metrics"]["latency_ms"]["value"] == [3.0, 1.2, 0.5, 2.0, 0.1, None]
    assert trials["confirmed"] == [1, 1, 1, 0, 0, 0]
    assert trials["membership"][3:] == [None] * 3
    assert trials["membership"][:3] == [one.probability for one in front_view(confirmed).standings.values()]
    assert said["searched"]["1"]["metrics"]["latency_ms"] == [1.0, None, None]
    assert (said["n_rounds"], said["is_stale"], said["why"]) == (5, False, {})
    assert said["test_accuracies"]["1"][0] == pytest.approx(0.89)
    json.dumps(data, allow_nan=False)


def test_page_data_packed_confirmation_is_the_same(confirmed):
    packed = page_data(front_view(confirmed), is_packed=True)
    assert packed["confirmation"] == page_data(front_view(confirmed))["confirmation"]
    assert base64.b64decode(packed["trials"]["confirmed"]["u1"]) == bytes([1, 1, 1, 0, 0, 0])


def test_page_data_stale_confirmation_says_only_that(makers, confirmed):
    more = replace(confirmed, trials=(*confirmed.trials, makers.make_trial(6, reason="gone")))
    data = page_data(front_view(more))
    assert data["confirmation"] == {"is_stale": True}
    assert data["trials"]["membership"] is data["trials"]["confirmed"] is None
    assert data["trials"]["metrics"]["latency_ms"]["value"][1] == 1.0


def test_trial_rows_of_a_confirmed_study_are_the_snapshots(confirmed):
    assert trial_rows(front_view(confirmed), 0) == page_data(front_view(confirmed))["trials"]


def test_page_data_finalist_that_is_not_confirmed_says_why(makers):
    data = page_data(front_view(makers.make_confirmed(makers.make_small_result(), invalid=[2])))
    assert data["trials"]["confirmed"][2] == 0
    assert "5 of 5 rounds" in data["confirmation"]["why"]["2"]


LARGE_STUDY = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "large_study.py"))


def rows_of(trials, start, stop):
    """The rows of the snapshot's columns, at every depth."""
    if isinstance(trials, dict):
        return {name: rows_of(column, start, stop) for name, column in trials.items()}
    return None if trials is None else trials[start:stop]


def test_page_data_small_study_has_every_part(makers):
    data = page_data(front_view(makers.make_small_result()))
    trials = data["trials"]
    assert data["study"] == {
        "name": "made-up",
        "device": "local",
        "model": "slimmable_cnn",
        "weights": "",
        "baseline": "The baseline's accuracy is 92.0 % (chance 10.0 %).",
        "warnings": [],
    }
    assert data["objectives"][0] == {"metric": "accuracy", "direction": "maximize"}
    assert data["constraints"] == [
        {"text": "peak_memory_mib <= 1000", "metric": "peak_memory_mib", "is_lower_bound": False, "bound": 1000.0}
    ]
    assert trials["number"] == [0, 1, 2, 3, 4, 5]
    assert trials["state"] == [0, 0, 0, 0, 1, 2]
    assert trials["seconds"] == [1.0] * 6
    assert trials["finished"] == [1001.0, 1002.0, 1003.0, 1004.0, 1005.0, 1006.0]
    assert trials["metrics"]["accuracy"]["value"] == [0.92, 0.9, 0.8, 0.85, 0.95, None]
    assert trials["metrics"]["accuracy"]["low"] == [None] * 6
    assert trials["membership"] is trials["confirmed"] is data["confirmation"] is None
    assert data["reasons"] == {"4": "not peak_memory_mib <= 1000", "5": "signal SIGSEGV in measure"}
    assert data["ideal_point"] == {"accuracy": 1.0, "latency_ms": 0.0, "cost_usd_per_million": 0.0}
    assert data["prices"]["hardware_usd_per_hour"] == 0.05


def test_page_data_warns_of_a_baseline_that_is_no_better_than_guessing(makers):
    majority = {"references": makers.references(0.1, "cat", 0.95)}
    result = makers.make_small_result(provenance=majority)
    (warning,) = page_data(front_view(result))["study"]["warnings"]
    assert "no better than guessing" in warning


def test_page_data_metrics_come_in_the_results_order_with_words(makers):
    result = makers.make_seeded_result(10)
    data = page_data(front_view(result))
    assert [metric["name"] for metric in data["metrics"]] == list(result.metric_names())
    accuracy = data["metrics"][0]
    assert accuracy["title"] == "accuracy"
    assert (accuracy["unit"], accuracy["scale"], accuracy["better"]) == ("%", 100.0, "maximize")


def test_page_data_parameters_are_ticks_for_words_and_numbers_else(makers):
    data = page_data(front_view(makers.make_small_result()))
    parameters = {parameter["name"]: parameter for parameter in data["parameters"]}
    assert "batch_size" not in parameters
    assert parameters["width"]["ticks"] is None
    assert data["trials"]["parameters"]["width"] == [1.0, 0.75, 0.5, 0.25, 0.25, 0.5]
    assert parameters["quantization"]["ticks"] == ["none", "dynamic_int8", "static_int8"]
    assert data["trials"]["parameters"]["quantization"] == [0, 0, 0, 0, 2, 0]


def test_page_data_space_has_every_parameter_in_order_with_what_is_fixed(makers):
    space = makers.make_space(batch_size=(4,), quantization=("none",))
    strange = makers.make_trial(1, variant=Variant(quantization="static_int8"))
    plain, forked = (
        page_data(front_view(makers.make_result(trials, space))) for trials in ([makers.make_trial(0)], [strange])
    )
    assert [one["name"] for one in plain["space"]] == list(space.parameters)
    fixed, forks = ({one["name"]: one["fixed"] for one in data["space"]} for data in (plain, forked))
    assert (fixed["threads"], fixed["quantization"], fixed["width"]) == (1, "none", None)
    # The baseline runs single images, whatever the space fixes; a fork may bring what its space no longer offers.
    assert fixed["batch_size"] is None
    assert forks["quantization"] is None
    assert forked["parameters"][2]["ticks"] == ["none", "static_int8"]


def test_page_data_metrics_that_are_counted_are_marked(makers):
    result = makers.make_seeded_result(10)
    counted = {metric["name"] for metric in page_data(front_view(result))["metrics"] if metric["is_counted"]}
    assert counted == {"artifact_size_mib", "n_parameters", "mega_macs"}


def test_page_data_metrics_that_some_trial_knows_are_marked(makers):
    trials = [makers.make_trial(0, {"accuracy": 0.9, "latency_ms": 1.0, "energy_mj": None}), makers.make_trial(1)]
    metrics = {
        metric["name"]: metric["is_known"] for metric in page_data(front_view(makers.make_result(trials)))["metrics"]
    }
    assert (metrics["accuracy"], metrics["energy_mj"]) == (True, False)


def test_page_data_widths_per_stage_are_ticks(makers):
    space = makers.make_space(width=((1.0, 0.5), (0.5, 1.0)))
    result = makers.make_result([makers.make_trial(0), makers.make_trial(1, variant=Variant(width=(0.5, 1.0)))], space)
    data = page_data(front_view(result))
    width = next(parameter for parameter in data["parameters"] if parameter["name"] == "width")
    assert width["ticks"] == ["1/0.5", "0.5/1", "1"]
    assert data["trials"]["parameters"]["width"] == [2, 1]


def test_page_data_relative_bound_is_applied_or_null(makers):
    space = makers.make_space(constraints=[Constraint("accuracy", ">=", 0.95, is_relative=True)])
    trial = makers.make_trial(0, {"accuracy": 0.92, "latency_ms": 1.0, "cost_usd_per_million": 1.0})
    known_bound = page_data(front_view(makers.make_result([trial], space)))["constraints"][0]
    assert known_bound["bound"] == pytest.approx(0.874)
    assert known_bound["is_lower_bound"] is True
    assert page_data(front_view(makers.make_result([], space)))["constraints"][0]["bound"] is None


def test_page_data_nan_and_infinity_become_null(makers):
    metrics = {
        "accuracy": float("nan"),
        "latency_ms": Measurement(1.0, 0.9, float("inf")),
        "cost_usd_per_million": -0.0,
    }
    result = makers.make_result([makers.make_trial(0, metrics)], reference_point={"accuracy": float("inf")})
    for is_packed in (False, True):
        json.dumps(page_data(front_view(result), is_packed), allow_nan=False)
    data = page_data(front_view(result))
    assert data["trials"]["metrics"]["accuracy"]["value"] == [None]
    assert data["trials"]["metrics"]["latency_ms"] == {"value": [1.0], "low": [0.9], "high": [None]}
    assert data["reference_point"] is None


def test_page_data_empty_study_is_whole(makers):
    for is_packed in (False, True):
        data = page_data(front_view(makers.make_result([])), is_packed)
        json.dumps(data, allow_nan=False)
        assert data["reasons"] == {}
    assert page_data(front_view(makers.make_result([])))["trials"]["number"] == []


def test_page_data_reason_is_one_plain_line(makers):
    result = makers.make_result([makers.make_trial(0, reason="<b>line</b>\nnext\x1b[31m")])
    assert page_data(front_view(result))["reasons"] == {"0": "<b>line</b> next [31m"}


def test_page_data_cached_is_what_the_caches_gave_besides_storing_and_measuring(makers):
    cached = (Stage("export", 1.0, True), Stage("store", 1.0), Stage("measure", 1.0))
    fresh = (Stage("export", 1.0), Stage("measure", 1.0))
    trials = [makers.make_trial(number, stages=stages) for number, stages in enumerate((cached, fresh, ()))]
    assert page_data(front_view(makers.make_result(trials)))["trials"]["is_cached"] == [1, 0, 0]


def test_page_data_weights_come_from_the_provenance_and_the_usual_columns_from_the_task(makers):
    card = {"family": "slimmable_cnn", "recipe": {"name": "standard"}, "seed": 1, "seconds": 60.0}
    task = {"name": "classification", "facts": {"classes": ["cat", "<img src=x>"]}}
    provenance = {"task": task, "weights": {"fingerprint": "0123456789abcdef", "card": card}}
    data = page_data(front_view(makers.make_result([], provenance=provenance)))
    assert data["quality"] == ["accuracy"]
    assert data["usual"]["metrics"] == ["accuracy", "latency_ms", "peak_memory_mib", "cost_usd_per_million"]
    assert (data["usual"]["x"], data["usual"]["y"], data["usual"]["color"]) == (
        "latency_ms",
        "accuracy",
        "cost_usd_per_million",
    )
    assert data["study"]["weights"].startswith("Base network: slimmable_cnn, weights 0123456789ab, trained on")


def test_trial_rows_are_the_snapshots_columns_from_a_position_on(makers):
    result = makers.make_seeded_result(20)
    whole = page_data(front_view(result))["trials"]
    assert trial_rows(front_view(result), 13) == rows_of(whole, 13, 20)
    assert trial_rows(front_view(result), 20) == rows_of(whole, 20, 20)
    json.dumps(trial_rows(front_view(result), 5), allow_nan=False)


def test_rounded_keeps_seven_digits_at_every_magnitude():
    rng = np.random.default_rng(0)
    values = rng.normal(size=500) * 10.0 ** rng.integers(-12, 12, 500)
    expected = [float(f"{value:.7g}") for value in values]
    np.testing.assert_allclose(rounded(values), expected, rtol=1.01e-6)
    assert all(len(repr(float(abs(v))).split("e")[0].replace(".", "").strip("0")) <= 7 for v in rounded(values))
    assert rounded([0.0, 0.1, 1e300, -123456789.0]).tolist() == [0.0, 0.1, 1e300, -123456800.0]


def test_known_unknown_is_none():
    assert [known(None), known(float("nan")), known(float("inf")), known(2 / 3)] == [None, None, None, 0.6666667]


def test_page_data_many_trials_are_packed_and_small():
    result = LARGE_STUDY["large_result"](MAX_PLAIN + 1)
    data = page_data(front_view(result))
    assert data["is_packed"] is True
    size = len(json.dumps(data, allow_nan=False, separators=(",", ":")))
    assert size / len(result.trials) < 160  # 8 MB of 50,000 trials
    assert page_data(front_view(replace(result, trials=result.trials[:MAX_PLAIN])))["is_packed"] is False


def test_page_data_of_a_space_with_fewer_variants_than_trials_counts_these(makers):
    few = {"width": (0.5, 1.0), "pruning_ratio": (0.0,), "exit_threshold": (1.0,)}  # of 5 executions each
    assert page_data(front_view(makers.make_result([], makers.make_space(n_trials=60, **few))))["n_trials"] == 10
    assert page_data(front_view(makers.make_result([], makers.make_space(n_trials=60))))["n_trials"] == 60
