from dataclasses import replace

import pytest

from explorer.records import Measurement, Variant
from explorer.views.formatting import (
    ASCII,
    Glyphs,
    displayed_metrics,
    duration_text,
    gain_text,
    glyphs_for,
    interval_text,
    is_improvement,
    metric_label,
    one_line,
    share_text,
    ties_text,
    value_text,
    variant_text,
    varying_parameters,
    violation_text,
    weights_sentence,
)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.91234, "91.23 %"),
        ("latency_ms", 0.4631, "0.463 ms"),
        ("latency_ms", 0.0004631, "0.000463 ms"),
        ("peak_memory_mib", 1722.4, "1,722 MiB"),
        ("n_parameters", 266400.0, "266,400"),
        ("cost_usd_per_million", 0.0433, "$0.0433 per million"),
        ("home_made", 2.0, "2.00"),
    ],
)
def test_value_text_metric_has_its_unit_and_digits(name, value, text):
    assert value_text(name, value) == text


@pytest.mark.parametrize(
    ("name", "value", "baseline", "text"),
    [
        ("latency_ms", 0.5, 2.65, "5.3×"),
        ("latency_ms", 4.0, 2.0, "0.50×"),
        ("latency_ms", 0.01, 3.0, "300×"),
        ("latency_ms", 0.1, 3.0, "30×"),
        ("throughput_per_s", 30.0, 10.0, "3.0×"),
        ("accuracy", 0.90, 0.92, "−2.00"),
        ("accuracy", 0.93, 0.92, "+1.00"),
        ("latency_ms", 0.0, 3.0, ""),
        ("latency_ms", 1.0, None, ""),
    ],
)
def test_gain_text_says_how_many_times_better(name, value, baseline, text):
    assert gain_text(name, value, baseline, Glyphs()) == text


def test_is_improvement_follows_the_metrics_direction():
    assert is_improvement("latency_ms", 1.0, 2.0)
    assert not is_improvement("accuracy", 0.8, 0.9)
    assert not is_improvement("accuracy", 0.8, None)


def test_interval_text_without_interval_is_empty():
    assert interval_text("accuracy", Measurement(0.9, 0.89, 0.91, 100), Glyphs()) == "89.00–91.00"
    assert interval_text("n_parameters", Measurement(10.0), Glyphs()) == ""


def test_variant_text_names_numbers_and_lets_words_speak():
    variant = Variant(width=(0.5, 1.0), quantization="static_int8", exit_threshold=0.85)
    names = ("width", "quantization", "runtime", "exit_threshold")
    assert variant_text(variant, names, ASCII) == "width 0.5/1, static_int8, eager, exit 0.85"
    assert variant_text(Variant(), ("quantization",), ASCII) == "quantization none"


@pytest.mark.parametrize(
    ("encoding", "environ", "glyphs"),
    [
        ("utf-8", {}, Glyphs()),
        ("utf-8", {"LANG": "de_DE.UTF-8"}, Glyphs()),
        ("utf-8", {"LANG": "C"}, ASCII),
        ("utf-8", {"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, ASCII),
        ("ascii", {}, ASCII),
        ("latin-1", {}, ASCII),
        ("no-such-encoding", {}, ASCII),
        (None, {}, ASCII),
    ],
)
def test_glyphs_for_terminal_are_those_that_it_can_show(encoding, environ, glyphs):
    assert glyphs_for(encoding, environ) == glyphs


def test_ascii_glyphs_are_ascii():
    assert all(getattr(ASCII, name).isascii() for name in Glyphs.__slots__)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.31, "0.3 s"), (18.4, "18 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (-3, "0 s")],
)
def test_duration_text_reads_like_speech(seconds, text):
    assert duration_text(seconds) == text


def test_one_line_drops_control_codes_and_cuts():
    assert one_line("a\x1b[31mb\n\tc") == "a [31mb c"
    assert one_line("x" * 50, limit=10) == "xxxxxxx..."


def test_metric_label_has_title_and_unit():
    assert metric_label("latency_p99_ms") == "p99 latency [ms]"
    assert metric_label("n_parameters") == "parameters"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (12.0, "broken by 12.0 MiB"),
        (-298.0, "holds by 298 MiB"),
        (float("inf"), "cannot be judged: the metric is not known"),
    ],
)
def test_violation_text_has_the_metrics_unit(amount, text):
    assert violation_text("peak_memory_mib <= 1024", amount) == text


def test_share_text_what_is_not_certain_never_rounds_to_certainty():
    shares = (0.0, 0.001, 0.18, 0.994, 0.9995, 1.0)
    assert [share_text(share) for share in shares] == ["0 %", "< 1 %", "18 %", "99 %", "> 99 %", "100 %"]


def test_ties_text_lists_the_trials():
    assert (ties_text(()), ties_text((12, 31))) == ("", "= 12, 31")


def test_varying_parameters_leaves_out_what_is_fixed_as_in_the_baseline(makers):
    space = makers.make_space(width=(1.0,), runtime=("onnxruntime",))
    assert varying_parameters(space) == ("pruning_ratio", "quantization", "runtime", "exit_threshold")


def test_shown_metrics_are_the_objectives_and_the_usual_ones_that_exist(makers):
    assert displayed_metrics(makers.make_small_result()) == (
        "accuracy",
        "latency_ms",
        "cost_usd_per_million",
        "peak_memory_mib",
    )


CARD = {"family": "slimmable_cnn", "recipe": {"name": "long"}, "seed": 3, "seconds": 4500.0}


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (
            CARD,
            "slimmable_cnn, weights 0123456789ab, trained on the study's own data: recipe long, seed 3, 1 h 15 min.",
        ),
        (
            {**CARD, "sha256": "12", "data": "JPEG"},
            "slimmable_cnn, weights 0123456789ab, shipped with the package: JPEG, recipe long, seed 3, 1 h 15 min.",
        ),
        ({"family": "nets:make"}, "slimmable_cnn, weights 0123456789ab, as its function gives them."),
    ],
)
def test_weights_sentence_says_where_they_come_from(makers, card, sentence):
    provenance = {"weights": {"fingerprint": "0123456789abcdef", "card": card}}
    assert weights_sentence(replace(makers.make_small_result(), provenance=provenance)) == f"Base network: {sentence}"


def test_weights_sentence_of_a_study_that_does_not_tell_is_empty(makers):
    assert weights_sentence(replace(makers.make_small_result(), provenance={})) == ""
