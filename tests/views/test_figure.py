import json

import pytest
from fakes import GAP

from explorer.metrics import Objective
from explorer.records import Variant
from explorer.study.front import front_view
from explorer.views.figure import FIGURE_CONFIG, front_figure


def traces(figure):
    return {trace.meta: trace for trace in figure.data}


def test_front_figure_has_the_points_in_percent(makers):
    drawn = traces(front_figure(front_view(makers.make_small_result())))
    assert list(drawn["front"].customdata) == [0, 1, 2]
    assert list(drawn["front"].y) == pytest.approx([92.0, 90.0, 80.0])
    assert list(drawn["feasible"].customdata) == [3]
    assert list(drawn["infeasible"].customdata) == [4]
    assert list(drawn["knee"].customdata) == [1]
    assert list(drawn["baseline"].customdata) == [0]
    line = drawn["best of these two"]
    assert (list(line.customdata), line.line.shape) == ([2, 1, 0], "hv")


def test_front_figure_error_bars_are_the_intervals(makers):
    result = makers.make_seeded_result(20)
    trace = traces(front_figure(front_view(result)))["front"]
    accuracy = result.trial(trace.customdata[0]).outcome.metrics["accuracy"]
    assert trace.error_y.array[0] == pytest.approx(100 * (accuracy.high - accuracy.value))
    assert trace.error_y.arrayminus[0] == pytest.approx(100 * (accuracy.value - accuracy.low))


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["accuracy"], ("trial", "accuracy [%]")),
        (["latency_ms"], ("trial", "latency [ms]")),
        (["peak_memory_mib", "energy_mj"], ("energy [mJ]", "peak memory [MiB]")),
        (["energy_mj", "accuracy", "latency_ms", "n_parameters"], ("latency [ms]", "accuracy [%]")),
    ],
)
def test_front_figure_of_any_number_of_objectives_is_json(makers, names, labels):
    objectives = [Objective(name, "maximize" if name == "accuracy" else "minimize") for name in names]
    trials = [makers.make_trial(n, dict.fromkeys(names, 1.0 + 10 * n)) for n in range(3)]
    figure = front_figure(front_view(makers.make_result(trials, makers.make_space(objectives=objectives))))
    assert json.loads(figure.to_json())
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == labels


def test_front_figure_of_a_study_without_trials_is_empty(makers):
    assert not front_figure(front_view(makers.make_result())).data


def test_front_figure_of_a_confirmed_front_has_near_and_invalid_trials(makers):
    drawn = traces(front_figure(front_view(makers.make_near_result())))
    groups = ("front", "near", "feasible", "infeasible", "invalid")
    assert {name: list(drawn[name].customdata) for name in groups} == {
        "front": [2],
        "near": [1],
        "feasible": [0],
        "infeasible": [4],
        "invalid": [3],
    }
    assert GAP.sentence in drawn["invalid"].hovertext[0]


def test_front_figure_text_of_a_study_is_escaped(makers):
    variant = Variant(runtime="<img src=x onerror=alert(1)>")
    trial = makers.make_trial(0, {"accuracy": 0.9, "latency_ms": 1.0}, variant)
    (point,) = traces(
        front_figure(front_view(makers.make_result([trial], makers.make_space(runtime=(variant["runtime"],)))))
    )["baseline"].hovertext
    assert "<img" not in point
    assert "&lt;img src=x onerror=alert(1)&gt;" in point


def test_figure_config_sends_nothing_anywhere():
    assert FIGURE_CONFIG["plotlyServerURL"] == ""
    assert "sendChartToCloud" in FIGURE_CONFIG["modeBarButtonsToRemove"]
