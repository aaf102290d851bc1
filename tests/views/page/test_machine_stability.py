import json
from dataclasses import replace

from fakes import GAP, make_observation

from explorer.views.page.insights import machine_stability


def study(makers, slownesses, invalid=(), **known):
    trials = [
        makers.make_trial(
            n,
            {"accuracy": 0.9, "latency_ms": 1.0 + n, "cost_usd_per_million": 1.0},
            observed=make_observation(slowness),
            reasons=(GAP,) if n in invalid else (),
        )
        for n, slowness in enumerate(slownesses)
    ]
    return makers.make_result(trials, **known)


def test_steadiness_info_has_the_anchor_of_every_trial_in_order(makers):
    info = machine_stability(study(makers, [1.0, 1.02, 0.99], invalid=[1]))
    assert [(one["trial"], one["round"], one["slowness"], one["is_invalid"]) for one in info["readings"]] == [
        (0, 0, 1.0, False),
        (1, 0, 1.02, True),
        (2, 0, 0.99, False),
    ]


def test_steadiness_info_sentence_is_of_what_is_valid(makers):
    result = study(makers, [1 + n / 100 for n in range(21)] + [5.0], invalid=[21])
    assert machine_stability(result)["sentence"] == (
        "The core was quiet for 80 % of the time (22 measurements). In its slowest measurement half of the "
        "slices were at least 20 % slower. Latencies are those of its quiet state. One measurement is not valid."
    )


def test_steadiness_info_one_measurement_tells_nothing(makers):
    assert "does not tell how steady" in machine_stability(study(makers, [1.0]))["sentence"]


def test_steadiness_info_without_a_measurement_says_so(makers):
    info = machine_stability(makers.make_result([makers.make_trial(0, {"accuracy": 0.9})]))
    assert (info["readings"], info["sentence"]) == ([], "Not known: no trial was measured.")


def test_steadiness_info_has_the_rounds_of_a_confirmation(makers):
    result = makers.make_confirmed(study(makers, [1.0, 1.02]), n_rounds=2)
    rounds = [
        tuple(replace(repeat, anchor=make_observation(1.0 + number / 10).anchor) for repeat in repeats)
        for number, repeats in enumerate(result.confirmation.rounds, 1)
    ]
    rounds[1] = (rounds[1][0], replace(rounds[1][1], anchor=None))
    confirmed = replace(result, confirmation=replace(result.confirmation, rounds=tuple(rounds)))
    info = machine_stability(confirmed)
    assert [(one["trial"], one["round"], one["slowness"]) for one in info["readings"][2:]] == [
        (0, 1, 1.1),
        (1, 1, 1.1),
        (0, 2, 1.2),
    ]
    assert "those of 2 confirmation rounds included" in info["sentence"]


def test_steadiness_json_of_many_is_bounded_and_keeps_what_is_not_valid(makers):
    values = machine_stability(study(makers, [1.0] * 5000, invalid=[1234]))
    assert len(values["readings"]) <= 601
    assert 1234 in [one["trial"] for one in values["readings"]]
    json.dumps(values, allow_nan=False)
