import json
from dataclasses import replace

import pytest
from fakes import GAP, make_observation

from explorer.measure.utilization import utilization_sentence
from explorer.observation import Anchor, ColdStart, Conditions, Estimate, Exit, Memory, Section, Timing, Utilization
from explorer.records import Failure, Origin, TrialOutcome, Variant
from explorer.study.front import front_view
from explorer.views.formatting import Glyphs
from explorer.views.trial import further_facts, measurement_lines, trial_facts, trial_info

FOUND = make_observation(
    exits=(Exit(0.25, 0.7, Estimate(0.5, 0.4, 0.6, 40)), Exit(0.75, 0.9, None)),
    processor_share=0.98,
    cold_start_ms=ColdStart(150.0, 40.0, 10.0, 2.5),
    memory_mib=Memory(80.0, 50.0, 30.0),
    timing=Timing("quarter", False, False, 0.031, 0.25, 1234),
    anchor=Anchor((0.1, 0.05, 0.05), 1.1, 0.02, 0.25, 0.0),
    utilization=Utilization(0.9, 1, "float32", 2.0, 3.0, 1e6, 100.0, 0.06, 1.5, "cache", "memory"),
)


def lines(makers, observed=FOUND):
    return measurement_lines(makers.make_trial(0, {"accuracy": 0.9}, observed=observed), Glyphs(), "images")


def test_measurement_lines_say_which_state_of_the_core_counts(makers):
    timing = lines(makers)["timing"]
    assert timing["state of the core"] == "quiet in 25% of the slices, which alone count"
    assert timing["budget"] == "a quarter of the budget: it is invalid, or cannot reach the front, 0.25 s timed"
    assert timing["warm-up"].startswith("NOT steady")
    assert timing["interval"] == "NOT narrow (within 3.1% of the median)"
    assert timing["answers while timing"] == "1234, compared with those of the accuracy pass"


def test_measurement_lines_have_cold_start_and_memory_in_their_parts(makers):
    found = lines(makers)
    assert list(found["cold start"].items())[-2:] == [("first answer", "2.5 ms"), ("sum", "202 ms")]
    memory = found["memory, measured and calculated"]
    assert memory["of it the bare runtime"] == "50 MiB, measured"
    assert memory["M_workspace"] == "0.25 MiB, calculated for one input in float32"
    assert memory["M_total"] == "1.75 MiB, calculated: their sum"
    again = lines(makers, replace(FOUND, build=None))["memory, measured and calculated"]
    assert list(again) == ["peak", "of it the bare runtime", "of it the model"]


@pytest.mark.parametrize(("n_working", "is_said"), [(0, True), (1, False), (2, False)])
def test_measurement_lines_say_where_fewer_threads_worked_than_were_asked_for(makers, n_working, is_said):
    conditions = Conditions(1.0, None, None, n_working, (1,), 0.0)
    timing = lines(makers, replace(FOUND, conditions=conditions))["timing"]
    assert ("threads" in timing) == is_said
    if is_said:
        assert timing["threads"] == "NOT all used: 0 of the 1 asked for worked while timing"


def test_measurement_lines_have_the_share_and_latency_of_each_path(makers):
    assert lines(makers)["latency of each path"] == {
        "exit 1": "25 % of the images · latency 0.5 ms (0.4–0.6, n 40)",
        "the final head": "75 % of the images",
    }


def test_measurement_lines_have_the_sections_of_the_task(makers):
    section = Section("Accuracy by class", ("class", "accuracy", "images"), (("cat", 0.5, 10), ("dog", 1.0, 2)))
    found = lines(makers, replace(FOUND, sections=(section,)))
    assert found["Accuracy by class"] == {"cat": "accuracy 50.0 % · images 10", "dog": "accuracy 100.0 % · images 2"}


def test_measurement_lines_say_what_binds_the_variant(makers):
    assert lines(makers)["use of the machine"]["bound by"] == utilization_sentence(FOUND.utilization)


def test_measurement_lines_say_that_the_core_was_never_quiet(makers):
    never = replace(FOUND, anchor=Anchor((0.1, 0.05, 0.05), 1.4, 0.02, 0.0, 0.35))
    assert lines(makers, never)["timing"]["state of the core"] == (
        "NOT quiet for long enough (quiet in 0% of the slices): the quietest count, corrected for the 35% by which the "
        "anchor was slower, and with wider intervals"
    )


def test_measurement_lines_of_a_trial_that_was_not_measured_are_none(makers):
    assert lines(makers, None) == {}


def test_further_facts_are_those_without_lines():
    outcome = TrialOutcome(Variant(), observed=FOUND, forked_from=Origin("old", 3))
    facts = further_facts(outcome)
    assert (facts["modules"], facts["n_layers"], facts["forked_from"]) == (
        ["onnxruntime"],
        3,
        {"study": "old", "trial": 3},
    )
    assert not {"timing", "build", "memory_bytes", "exits"} & facts.keys()


def test_trial_facts_have_the_last_output_of_a_failure():
    assert trial_facts(TrialOutcome(Variant(), failure=Failure.reported("crash", "it died", "last words"))) == {
        "log": "last words"
    }


def test_trial_info_is_json_and_whole(makers):
    result = makers.make_seeded_result(12)
    summary = front_view(result)
    for trial in result.trials:
        info = json.loads(json.dumps(trial_info(summary, trial), allow_nan=False))
        assert info["trial"] == trial.number
        assert info["on_front"] == any(entry.trial is trial for entry in summary.entries)
    unknown = trial_info(summary, result.trials[0])["metrics"]["latency_p99_ms"]
    assert unknown == {"value": None, "why": "p99 needs 662 queries, 400 were taken"}


def test_trial_info_of_the_baseline_has_what_guessing_gives(makers):
    result = makers.make_small_result(provenance={"references": makers.references(0.1, "cat", 0.92)})
    baseline, other = (trial_info(front_view(result), result.trials[number]) for number in (0, 1))
    assert (baseline["guessing"]["chance"], baseline["guessing"]["majority_class"]) == (0.1, 0.92)
    assert len(baseline["warnings"]) == 1
    assert "guessing" not in other


def test_trial_info_violation_that_is_not_known_is_none(makers):
    result = makers.make_result([makers.make_trial(0, {}, violations={"energy_mj <= 1": float("inf")})])
    assert trial_info(front_view(result), result.trials[0])["violations"] == {"energy_mj <= 1": None}


def test_trial_info_has_what_the_confirmation_found(makers):
    result = makers.make_near_result()
    summary = front_view(result)
    found = [trial_info(summary, trial)["confirmed"] for trial in result.trials]
    assert [found[1]["near"], found[2]["near"]] == [True, False]
    assert (found[1]["ties"], found[1]["rounds"], found[1]["why"]) == ([2], 5, None)
    assert found[2]["metrics"]["latency_ms"]["value"] == 0.99
    assert found[2]["test_accuracy"]["value"] == pytest.approx(0.89)
    assert found[3] is found[4] is None
    assert trial_info(summary, result.trial(3))["invalid"] == [GAP.sentence]
    assert trial_info(front_view(result, is_search=True), result.trial(1))["confirmed"] is None


def test_trial_info_finalist_that_is_not_confirmed_has_no_values_and_a_reason(makers):
    result = makers.make_confirmed(makers.make_small_result(), invalid=[2])
    found = trial_info(front_view(result), result.trial(2))["confirmed"]
    assert (found["metrics"], found["feasible"], found["probability"]) == (None, False, None)
    assert "5 of 5 rounds" in found["why"]
