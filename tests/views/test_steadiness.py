import json
from dataclasses import replace

import pytest

from explorer.views.steadiness import steadiness_info


def study(makers, slownesses, invalid=(), **known):
    trials = [
        makers.make_trial(
            n,
            {"accuracy": 0.9, "latency_ms": 1.0 + n, "cost_usd_per_million": 1.0},
            details={"anchor": {"value": 1.0, "slowness": slowness, "dispersion": 0.01}},
            invalid=("a gap in the clock",) if n in invalid else (),
        )
        for n, slowness in enumerate(slownesses)
    ]
    return makers.make_result(trials, **known)


def test_steadiness_info_has_the_anchor_of_every_trial_in_order(makers):
    info = steadiness_info(study(makers, [1.0, 1.02, 0.99], invalid=[1]))
    assert [(one.trial, one.round, one.slowness, one.is_invalid) for one in info.readings] == [
        (0, 0, 1.0, False),
        (1, 0, 1.02, True),
        (2, 0, 0.99, False),
    ]


def test_steadiness_info_sentence_is_the_usual_range_of_what_can_be_believed(makers):
    # Percentiles 5 and 95 of 1.00, 1.01, ..., 1.20; the outlier is not valid and does not count.
    result = study(makers, [1 + n / 100 for n in range(21)] + [5.0], invalid=[21])
    assert steadiness_info(result).sentence == (
        "The machine's speed moved by 18 % during the study (22 measurements); times are "
        "corrected as far as each variant feels it."
        " One measurement is not valid."
    )


def test_steadiness_info_one_measurement_tells_nothing(makers):
    assert "does not tell how steady" in steadiness_info(study(makers, [1.0])).sentence


@pytest.mark.parametrize(
    ("anchor", "why"),
    [
        (None, "the trials were measured without an anchor"),
        ({"value": None, "why": "onnxruntime is not installed"}, "onnxruntime is not installed"),
        ({"slowness": float("nan"), "dispersion": 0.1}, "the trials were measured without an anchor"),
        ("abc", "the trials were measured without an anchor"),
    ],
)
def test_steadiness_info_without_an_anchor_says_why(makers, anchor, why):
    info = steadiness_info(makers.make_result([makers.make_trial(0, {"accuracy": 0.9}, details={"anchor": anchor})]))
    assert (info.readings, info.sentence) == ((), f"Not known: {why}.")


def test_steadiness_info_has_the_rounds_of_a_confirmation_from_the_files_beside_the_artifacts(makers, tmp_path):
    result = makers.make_confirmed(study(makers, [1.0, 1.02], folder=tmp_path), n_rounds=2)
    for number, artifact in ((0, "a0"), (1, "a1")):
        folder = tmp_path / "artifacts" / artifact / "measurements"
        folder.mkdir(parents=True)
        for one in (1, 2):
            anchor = {"anchor": {"value": 1.0, "slowness": 1.0 + one / 10, "dispersion": 0.02}}
            path = folder / f"confirm-{one:02d}-trial-{number:05d}.json"
            path.write_text(json.dumps({"details": anchor}) if (one, number) != (2, 1) else "damaged")
    info = steadiness_info(result)
    assert [(one.trial, one.round, one.slowness) for one in info.readings[2:]] == [
        (0, 1, 1.1),
        (1, 1, 1.1),
        (0, 2, 1.2),
    ]
    assert "those of 2 confirmation rounds included" in info.sentence


def test_steadiness_info_a_path_for_an_artifact_is_not_followed(makers, tmp_path):
    result = makers.make_confirmed(study(makers, [1.0, 1.02], folder=tmp_path / "study"))
    finalists = tuple(replace(one, artifact="../../elsewhere") for one in result.confirmation.finalists)
    folder = tmp_path / "elsewhere" / "measurements"
    folder.mkdir(parents=True)
    anchor = {"details": {"anchor": {"slowness": 1.0, "dispersion": 0.0}}}
    (folder / "confirm-01-trial-00000.json").write_text(json.dumps(anchor))
    strange = replace(result, confirmation=replace(result.confirmation, finalists=finalists))
    assert len(steadiness_info(strange).readings) == 2


def test_steadiness_json_of_many_is_bounded_and_keeps_what_is_not_valid(makers):
    values = steadiness_info(study(makers, [1.0] * 5000, invalid=[1234])).to_json()
    assert len(values["readings"]) <= 601
    assert 1234 in [one["trial"] for one in values["readings"]]
    json.dumps(values, allow_nan=False)
