from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from fakes import GAP

from explorer.metrics import Objective
from explorer.records import Measurement
from explorer.study.front import front_view
from explorer.views.formatting import share_text
from explorer.views.front_svg import front_svg

SVG = "{http://www.w3.org/2000/svg}"


def circles(text):
    """Each trial's fill, by its title."""
    found = {}
    for circle in ET.fromstring(text).iter(f"{SVG}circle"):
        title = circle.find(f"{SVG}title")
        if title is not None:
            found[int(title.text.removeprefix("trial "))] = circle.get("fill")
    return found


def test_front_svg_shows_every_feasible_trial_and_marks_the_chosen(makers):
    text = front_svg(front_view(makers.make_small_result()), chosen=1)
    drawn = circles(text)
    assert set(drawn) == {0, 2, 3}  # 4 is infeasible, 5 failed, and 1 has a mark of its own
    assert drawn[0] == drawn[2] != drawn[3]
    assert ">trial 1</text>" in text


def test_front_svg_chosen_infeasible_trial_is_in_the_picture(makers):
    assert ">trial 4</text>" in front_svg(front_view(makers.make_small_result()), chosen=4)


def test_front_svg_member_through_the_third_objective_is_hollow_and_off_the_line(makers):
    metrics = ("accuracy", "latency_ms", "cost_usd_per_million")
    rows = [(0.9, 3.0, 0.03), (0.8, 1.0, 0.03), (0.7, 2.0, 0.01)]
    trials = [makers.make_trial(i, dict(zip(metrics, row, strict=True))) for i, row in enumerate(rows)]
    text = front_svg(front_view(makers.make_result(trials)), chosen=0)
    drawn = circles(text)
    assert drawn[2] == "white" != drawn[1]
    (line,) = re.findall(r'<path d="(M[^"]*)" fill="none"', text)
    assert line.count("H") == 1


@pytest.mark.parametrize("n_trials", [1, 2, 40])
def test_front_svg_is_whole_and_stays_within_its_frame(makers, n_trials):
    text = front_svg(front_view(makers.make_seeded_result(n_trials)), chosen=0)
    root = ET.fromstring(text)
    assert not list(root.iter(f"{SVG}script"))
    for circle in root.iter(f"{SVG}circle"):
        assert 0 <= float(circle.get("cx")) <= 640
        assert 0 <= float(circle.get("cy")) <= 400


def test_front_svg_with_one_objective_has_the_trials_in_their_order(makers):
    space = makers.make_space(objectives=[Objective("accuracy", "maximize")])
    trials = [makers.make_trial(i, {"accuracy": 0.5 + i / 10}) for i in range(3)]
    text = front_svg(front_view(makers.make_result(trials, space)), chosen=2)
    assert ">trial</text>" in text
    assert set(circles(text)) == {0, 1}


def test_front_svg_hostile_name_is_text(makers):
    result = makers.make_result([makers.make_trial(0, {"accuracy": 0.5, "latency_ms": 1.0})], makers.make_space())
    from dataclasses import replace

    text = front_svg(front_view(replace(result, name="</svg><script>alert(1)</script>")), chosen=0)
    assert not list(ET.fromstring(text).iter(f"{SVG}script"))


def titles(text):
    return [title.text for title in ET.fromstring(text).iter(f"{SVG}title")]


def test_front_svg_of_a_confirmed_front_has_probabilities_ties_and_reasons(makers):
    result = makers.make_near_result()
    text = front_svg(front_view(result), chosen=0)
    probability = share_text(next(entry.probability for entry in front_view(result).near))
    assert f"trial 1, on the front with {probability}" in titles(text)
    assert f"trial 3, invalid: {GAP.sentence}" in titles(text)
    assert "trial 4, infeasible: not peak_memory_mib <= 1000" in titles(text)
    assert text.count('stroke-dasharray="2 3"') == 1
    for words in ("near it", "infeasible", "invalid", "baseline"):
        assert f">{words}</text>" in text


def test_front_svg_legend_has_only_what_is_there(makers):
    trials = [makers.make_trial(n, {"accuracy": 0.5 + n / 10, "latency_ms": 1.0 + n}) for n in (1, 2)]
    space = makers.make_space(objectives=makers.OBJECTIVES[:2])
    text = front_svg(front_view(makers.make_result(trials, space)), chosen=1)
    assert ">front</text>" in text
    for words in ("near it", "infeasible", "invalid", "baseline", "feasible", "through another objective"):
        assert f">{words}</text>" not in text


def test_front_svg_intervals_are_bars_within_the_frame(makers):
    measured = [Measurement(0.5 + n / 10, 0.1, 0.99) for n in (1, 2)]
    trials = [makers.make_trial(n, {"accuracy": one, "latency_ms": 1.0 + n}) for n, one in enumerate(measured, 1)]
    text = front_svg(
        front_view(makers.make_result(trials, makers.make_space(objectives=makers.OBJECTIVES[:2]))), chosen=1
    )
    ends = re.findall(r'<path d="M[0-9.]+ ([0-9.]+)V([0-9.]+)" fill="none"', text)
    assert len(ends) == 2
    assert all(52 <= float(end) <= 348 for pair in ends for end in pair)
