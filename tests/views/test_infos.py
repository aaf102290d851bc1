import pytest

from explorer.objectives import Objective
from explorer.study.front import front_summary
from explorer.views.infos import front_info, history_info, parallel_info, space_axes, staircase


def test_front_info_groups_every_measured_trial(makers):
    info = front_info(makers.make_small_result())
    assert (info.x, info.y, info.color) == ("latency_ms", "accuracy", "cost_usd_per_million")
    assert [(point.trial, point.group) for point in info.points] == [
        (0, "front"),
        (1, "front"),
        (2, "front"),
        (3, "feasible"),
        (4, "infeasible"),
    ]
    assert [point.trial for point in info.points if point.is_knee] == [1]
    assert [point.trial for point in info.points if point.is_baseline] == [0]


def test_front_info_staircase_goes_from_left_to_right_without_the_infeasible(makers):
    assert front_info(makers.make_small_result()).staircase == (2, 1, 0)


def test_staircase_other_axes_have_their_own_front(makers):
    info = front_info(makers.make_small_result())
    assert staircase(info.points, "peak_memory_mib", "latency_ms", info.directions) == (2,)


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (["accuracy"], ("trial", "accuracy", None)),
        (["latency_ms"], ("trial", "latency_ms", None)),
        (["latency_ms", "accuracy"], ("latency_ms", "accuracy", None)),
        (["peak_memory_mib", "energy_mj"], ("energy_mj", "peak_memory_mib", None)),
        (["energy_mj", "accuracy", "latency_ms", "n_parameters"], ("latency_ms", "accuracy", "energy_mj")),
    ],
)
def test_front_info_any_number_of_objectives_has_axes(makers, names, axes):
    objectives = [Objective(name, "maximize" if name == "accuracy" else "minimize") for name in names]
    trials = [makers.make_trial(n, dict.fromkeys(names, 1.0 + n)) for n in range(3)]
    info = front_info(makers.make_result(trials, makers.make_space(objectives=objectives)))
    assert (info.x, info.y, info.color) == axes
    assert info.staircase


def test_front_info_one_objective_draws_the_record_so_far(makers):
    objectives = [Objective("accuracy", "maximize")]
    trials = [makers.make_trial(n, {"accuracy": value}) for n, value in enumerate((0.5, 0.4, 0.7, 0.6, 0.8))]
    info = front_info(makers.make_result(trials, makers.make_space(objectives=objectives)))
    assert info.staircase == (0, 2, 4)


def test_history_info_ends_at_the_summarys_share(makers):
    result = makers.make_seeded_result(40)
    info = history_info(result)
    assert info.is_ratio
    assert info.trials == tuple(range(40))
    assert list(info.values) == sorted(info.values)
    assert info.values[-1] == pytest.approx(front_summary(result).hypervolume_ratio)


def test_history_info_without_reference_is_none(makers):
    assert history_info(makers.make_result([makers.make_trial(0, reason="no memory")])) is None


def test_space_axes_are_completed_by_usual_metrics(makers):
    row = {"accuracy": 0.9, "latency_ms": 1.0}
    objectives = [Objective("accuracy", "maximize")]
    space = makers.make_space(objectives=objectives)
    assert space_axes(makers.make_result([makers.make_trial(0, row)], space)) is None
    more = makers.make_result([makers.make_trial(0, row | {"peak_memory_mib": 70.0})], space)
    assert space_axes(more) == ("accuracy", "latency_ms", "peak_memory_mib")


def test_parallel_info_numbers_words_in_the_spaces_order(makers):
    result = makers.make_small_result()
    info = parallel_info(result, front_summary(result))
    assert info.is_front == (True, True, True, False)
    columns = {column.name: column for column in info.columns}
    assert columns["quantization"].ticks == ("none", "dynamic_int8", "static_int8")
    assert columns["width"].values == (1.0, 0.75, 0.5, 0.25)


def test_parallel_info_nothing_feasible_is_none(makers):
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    assert parallel_info(result, front_summary(result)) is None
