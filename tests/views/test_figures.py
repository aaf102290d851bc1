import json

import pytest

from explorer.objectives import Objective
from explorer.study.front import front_summary
from explorer.views.figures import front_figure, history_figure, parallel_figure, space_figure
from explorer.views.infos import front_info, history_info, parallel_info, space_axes


def traces(figure):
    return {trace.meta: trace for trace in figure.data}


def test_front_figure_has_the_infos_points_in_percent(makers):
    drawn = traces(front_figure(front_info(makers.make_small_result())))
    assert list(drawn["front"].customdata) == [0, 1, 2]
    assert list(drawn["front"].y) == pytest.approx([92.0, 90.0, 80.0])
    assert list(drawn["infeasible"].customdata) == [4]
    assert list(drawn["knee"].customdata) == [1]
    assert list(drawn["baseline"].customdata) == [0]
    assert (list(drawn["stairs"].customdata), drawn["stairs"].line.shape) == ([2, 1, 0], "hv")


def test_front_figure_error_bars_are_the_intervals(makers):
    result = makers.make_seeded_result(20)
    info = front_info(result)
    trace = traces(front_figure(info))["front"]
    point = next(point for point in info.points if point.trial == trace.customdata[0])
    accuracy = point.metrics["accuracy"]
    assert trace.error_y.array[0] == pytest.approx(100 * (accuracy.high - accuracy.value))
    assert trace.error_y.arrayminus[0] == pytest.approx(100 * (accuracy.value - accuracy.low))


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
def test_front_figure_any_number_of_objectives_is_json(makers, n_objectives):
    names = ["accuracy", "latency_ms", "peak_memory_mib", "n_parameters"][:n_objectives]
    objectives = [Objective(name, "maximize" if name == "accuracy" else "minimize") for name in names]
    trials = [makers.make_trial(n, dict.fromkeys(names, 1.0 + n)) for n in range(3)]
    result = makers.make_result(trials, makers.make_space(objectives=objectives))
    assert json.dumps(front_figure(front_info(result)).to_plotly_json(), allow_nan=False)


def test_front_figure_empty_study_is_an_empty_plot(makers):
    figure = front_figure(front_info(makers.make_result()))
    assert all(len(trace.x) == 0 for trace in figure.data)


def test_space_and_parallel_figures_hold_the_feasible_trials(makers):
    result = makers.make_seeded_result(30)
    info, summary = front_info(result), front_summary(result)
    space = space_figure(info, space_axes(result))
    n_feasible = sum(point.group != "infeasible" for point in info.points)
    assert len(space.data[0].x) + len(space.data[1].x) == n_feasible
    parallel = parallel_figure(parallel_info(result, summary))
    assert len(parallel.data[0].line.color) == summary.n_complete


def test_history_figure_is_in_percent(makers):
    info = history_info(makers.make_seeded_result(10))
    assert list(history_figure(info).data[0].y) == pytest.approx([100 * value for value in info.values])


def test_front_figure_of_a_confirmed_front_has_near_ties_and_invalid_trials(makers):
    drawn = traces(front_figure(front_info(makers.make_near_result())))
    groups = ("front", "near the front", "feasible", "infeasible", "invalid")
    assert {name: list(drawn[name].customdata) for name in groups} == {
        "front": [2],
        "near the front": [1],
        "feasible": [0],
        "infeasible": [4],
        "invalid": [3],
    }
    assert drawn["invalid"].marker.symbol != drawn["infeasible"].marker.symbol
    assert list(drawn["ties"].x) == [1.0, 0.99, None]
    assert "a gap in the clock" in drawn["invalid"].hovertext[0]


def test_front_figure_has_no_trace_for_what_is_not_there(makers):
    result = makers.make_result(
        [makers.make_trial(1, {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 1.0})]
    )
    assert set(traces(front_figure(front_info(result)))) == {"stairs", "front", "knee"}
