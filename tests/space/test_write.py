from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.metrics import METRICS, Constraint, Objective
from explorer.space.read import parse_space
from explorer.space.values import (
    DataSettings,
    DeviceSettings,
    Parameter,
    SearchSettings,
    SearchSpace,
    Vocabulary,
)
from explorer.space.write import difference, dump_space, fingerprint

Parse = Callable[[str], SearchSpace]

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True).filter(lambda name: name.strip("."))
AWKWARD_NAMES = st.sampled_from(["7", "1e3", ".5e3", "null", "true", "yes", "-", "-.5", "0x1F", "0o7", ".inf", ".nan"])


def choice(values: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, ...]]:
    return st.lists(values, min_size=1, max_size=4, unique=True).map(lambda found: tuple(sorted(found)))


def names(*known: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(known), min_size=1, unique=True).map(tuple)


def per_stage(values: tuple[float, ...]) -> tuple[tuple[float, float, float], ...]:
    return tuple((a, b, c) for a in values for b in values for c in values)


WIDTHS = st.one_of(
    choice(st.floats(0.25, 1)),
    choice(st.floats(0.25, 1)).filter(lambda found: len(found) > 1).map(per_stage),
)


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Parameter]:
    values = {
        "width": draw(WIDTHS),
        "pruning_ratio": draw(choice(st.floats(0, 0.9).map(abs))),
        "quantization": ("none", *draw(st.sampled_from([(), ("static_int8",), ("static_int8", "dynamic_int8")]))),
        "runtime": draw(names("eager", "onnxruntime")),
        "exit_threshold": draw(choice(st.floats(0, 1, exclude_min=True))),
        "batch_size": draw(choice(st.integers(1, 1024))),
        "threads": draw(choice(st.integers(1, 4))),
    }
    return {name: Parameter(name, value) for name, value in values.items()}


OBJECTIVES = st.lists(st.sampled_from(sorted(METRICS)), min_size=1, max_size=5, unique=True).map(
    lambda found: tuple(Objective(name, METRICS[name].direction) for name in found)
)
# Upper bounds alone cannot contradict each other.
CONSTRAINTS = st.lists(
    st.builds(
        Constraint,
        st.sampled_from(sorted(METRICS)),
        st.just("<="),
        st.floats(1e-9, allow_infinity=False),
        st.booleans(),
    ),
    max_size=4,
).map(tuple)
DATA = st.one_of(
    st.builds(DataSettings, st.sampled_from(["cifar10", "digits"]), st.integers(1, 10**6), st.integers(1, 10**6)),
    st.builds(
        DataSettings,
        st.just("image_folder"),
        st.integers(1, 10**6),
        st.integers(1, 10**6),
        st.one_of(AWKWARD_NAMES, st.text(min_size=1, max_size=90).filter(lambda p: p.strip() and p.isprintable())),
    ),
)
USD = st.floats(0, 1e9).map(abs)
SPACES = st.builds(
    SearchSpace,
    name=st.one_of(NAMES, AWKWARD_NAMES),
    model=st.just("slimmable_cnn"),
    recipe=st.sampled_from(["default", "long"]),
    recovery_steps=st.integers(0, 10_000),
    data=DATA,
    parameters=parameters(),
    objectives=OBJECTIVES,
    constraints=CONSTRAINTS,
    search=st.builds(
        SearchSettings,
        st.sampled_from(["tpe", "grid"]),
        st.integers(1, 10**6),
        st.none() | st.floats(0, 1e12, exclude_min=True),
        st.integers(0, 2**32 - 1),
    ),
    device=st.builds(DeviceSettings, NAMES, USD, USD, USD),
)


@settings(max_examples=150, deadline=None)
@given(space=SPACES)
def test_dump_space_reads_back_to_an_equal_value(vocabulary: Vocabulary, space: SearchSpace) -> None:
    text = dump_space(space)
    again = parse_space(text, vocabulary, max_threads=4)
    assert again == space
    assert dump_space(again) == text


def test_dump_space_of_shipped_weights_reads_back(parse: Parse, valid_text: str) -> None:
    text = valid_text.replace("digits", "cifar10").replace("search:", "training: {weights: shipped}\nsearch:")
    space = parse(text)
    assert parse(dump_space(space)) == space
    assert fingerprint(space) != fingerprint(parse(text.replace("weights: shipped", "recipe: default")))


def test_dump_space_begins_with_the_fingerprint(parse: Parse, valid_text: str) -> None:
    space = parse(valid_text)
    assert dump_space(space).split("\n")[0] == f"# fingerprint: {fingerprint(space)}"
    assert len(fingerprint(space)) == 64


OWN = "name: x\nmodel: nets:make\ninput: {}\ndata: {{name: digits}}\nobjectives: {{latency_ms: minimize}}\n"
STATED = ["unit", "imagenet", "raw", "dataset", "{mean: [0.1, 0, 1], std: [1, 0.0001, 2]}", "{mean: [.5], std: [5e-1]}"]


@pytest.mark.parametrize("stated", STATED)
def test_dump_space_of_an_own_network_reads_back(parse: Parse, stated: str) -> None:
    space = parse(OWN.format(stated))
    assert parse(dump_space(space)) == space


@pytest.mark.parametrize(("stated", "precision", "at_most_s"), [("0.35%", 0.0035, 90.0), ("0.02", 0.02, 90.0)])
def test_measure_reads_back_and_is_not_part_of_the_identity(
    parse: Parse, valid_text: str, stated: str, precision: float, at_most_s: float
) -> None:
    space = parse(f"{valid_text}measure: {{precision: {stated}, at_most: 90s}}\n")
    assert (space.measure.precision, space.measure.at_most_s) == (pytest.approx(precision), at_most_s)
    assert parse(dump_space(space)) == space
    assert difference(parse(valid_text), space) == []
    assert fingerprint(parse(valid_text)) == fingerprint(space)


def test_fingerprint_ignores_name_trials_timeout_and_how_it_is_written(parse: Parse, valid_text: str) -> None:
    other = (
        valid_text.replace("name: small", "name: other")
        .replace("trials: 16", "trials: 17\n  timeout: 5m")
        .replace("{min: 0.0, max: 0.4, step: 0.1}", "[0, 0.1, 0.2, 0.3, 0.4] # a comment")
    )
    assert fingerprint(parse(other)) == fingerprint(parse(valid_text))
    assert difference(parse(valid_text), parse(other)) == []


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("[0.25, 0.5, 1.0]", "[0.25, 1.0]", ["parameters.width: [0.25, 0.5, 1.0] -> [0.25, 1.0]"]),
        (
            "[0.25, 0.5, 1.0]",
            "{per_stage: [0.5, 1.0]}",
            ["parameters.width: [0.25, 0.5, 1.0] -> {per_stage: [0.5, 1.0]}"],
        ),
        ("sampler: tpe", "sampler: nsga2", ["search.sampler: tpe -> nsga2"]),
        ("seed: 0", "seed: 1", ["search.seed: 0 -> 1"]),
        (
            "  accuracy: maximize\n  latency_ms: minimize",
            "  latency_ms: minimize\n  accuracy: maximize",
            ["objectives: [accuracy: maximize, latency_ms: minimize] -> [latency_ms: minimize, accuracy: maximize]"],
        ),
        (
            "  - peak_memory_mib <= 1024\n",
            "",
            ["constraints: [peak_memory_mib <= 1024, accuracy >= 0.95 * baseline] -> [accuracy >= 0.95 * baseline]"],
        ),
        ("hour: 0.05", "hour: 0.06", ["device.hardware_usd_per_hour: 0.05 -> 0.06"]),
    ],
)
def test_difference_names_what_changed(parse: Parse, valid_text: str, old: str, new: str, lines: list[str]) -> None:
    before, after = parse(valid_text), parse(valid_text.replace(old, new))
    assert difference(before, after) == lines
    assert fingerprint(before) != fingerprint(after)


@settings(max_examples=60, deadline=None)
@given(SPACES, SPACES, st.booleans())
def test_difference_is_empty_exactly_when_the_fingerprints_are_equal(
    one: SearchSpace, two: SearchSpace, is_renamed: bool
) -> None:
    if is_renamed:
        two = replace(one, name=two.name, search=replace(one.search, n_trials=two.search.n_trials, timeout_s=None))
    assert (difference(one, two) == []) == (fingerprint(one) == fingerprint(two))
    assert not is_renamed or fingerprint(one) == fingerprint(two)
