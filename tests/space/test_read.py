"""Reading a search space: sections, overrides, and the first error in the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from explorer.errors import SpaceError, UsageError
from explorer.metrics import Constraint, Objective
from explorer.records import Variant
from explorer.space.document import parse_document
from explorer.space.read import Overrides, dotted, first_error, load_space, overridden, parse_space
from explorer.space.rules import Rules
from explorer.space.schema import Section
from explorer.space.source import Source
from explorer.space.values import DataSettings, DeviceSettings, SearchSettings, SearchSpace, Vocabulary
from explorer.study.search.grid import Grid


class Inner(Section):
    count: int = 1
    price: Annotated[float, Field(ge=0, le=2e6)] = 0.0
    label: str = ""


class Outer(Section):
    inner: Inner
    other: Inner = Inner()


def first(text: str) -> str:
    source = Source("a.yaml", text)
    root = parse_document(source)
    with pytest.raises(ValidationError, match=r".") as caught:
        Outer.model_validate(root.value)
    return str(first_error(caught.value, Outer, source, root)).split("\n")[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("inner: {count: 1.0}", "a.yaml:1:16: inner.count: expected a whole number, got 1.0"),
        ("inner: {price: '1'}", "a.yaml:1:16: inner.price: expected a number, got the text '1'"),
        ("inner: {price: -1}", "a.yaml:1:16: inner.price: expected at least 0, got -1"),
        ("inner: {price: 3e6}", "a.yaml:1:16: inner.price: expected at most 2,000,000, got 3000000.0"),
        ("inner: {label: 5}", "a.yaml:1:16: inner.label: expected text, got 5; put it into quotes"),
        ("inner: {lable: x}", "a.yaml:1:9: 'lable' is no key of 'inner'; the keys are count, price and label"),
        ("inner: 5", "a.yaml:1:8: inner: expected a mapping with the keys count, price and label, got 5"),
        ("other: {}", "a.yaml:1:1: the search space has no 'inner', which it needs"),
        ("other: {count: x}\ninner: {count: y}", "a.yaml:1:16: other.count: expected a whole number, got the text 'x'"),
        ("other: {count: x}", "a.yaml:1:16: other.count: expected a whole number, got the text 'x'"),
    ],
)
def test_first_error_is_translated_with_its_place(text: str, sentence: str) -> None:
    assert first(text) == sentence


def test_dotted_writes_a_place() -> None:
    assert dotted(("parameters", "width", 2)) == "parameters.width[2]"
    assert dotted(()) == ""


@pytest.fixture
def space(parse: Callable[[str], SearchSpace], valid_text: str) -> SearchSpace:
    return parse(valid_text)


@pytest.fixture
def rules(vocabulary: Vocabulary) -> Rules:
    return Rules(vocabulary, traits=None, max_threads=4)


def test_overridden_replaces_what_is_given_and_keeps_the_rest(space: SearchSpace, rules: Rules) -> None:
    assert overridden(space, Overrides(), rules) == space
    changed = overridden(space, Overrides(name="b", timeout_s=0.5), rules)
    assert changed == replace(space, name="b", search=SearchSettings("tpe", 16, 0.5, 0))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (Overrides(name="../x"), r"^--name: expected a name that matches"),
        (Overrides(name=""), r"^--name: expected a name that matches"),
        (Overrides(n_trials=0), r"^--trials: expected at least 1, got 0"),
        (Overrides(n_trials=-3), r"^--trials: expected at least 1, got -3"),
        (Overrides(timeout_s=0.0), r"^--timeout: expected a duration .*, more than zero"),
        (Overrides(timeout_s=float("nan")), r"^--timeout: expected a duration"),
        (Overrides(sampler="nsga"), r"^--sampler: expected a sampler .*; did you mean 'nsga\d'\?"),
        (Overrides(seed=-1), r"^--seed: expected at least 0, got -1"),
        (Overrides(seed=2**32), r"^--seed: expected at most 4,294,967,295"),
    ],
)
def test_overridden_by_a_wrong_value_names_the_flag(
    space: SearchSpace, rules: Rules, overrides: Overrides, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        overridden(space, overrides, rules)


Parse = Callable[[str], SearchSpace]
ParseChanged = Callable[[str, str], SearchSpace]

OWN = "name: x\nmodel: {}\n{}\ndata: {{name: digits}}\nobjectives: {{latency_ms: minimize}}\n"
SEARCH_SPACES = Path(__file__).parents[2] / "search_spaces"


def test_parse_space_reads_every_section(parse: Parse, valid_text: str) -> None:
    space = parse(valid_text)
    assert (space.name, space.model, space.recipe, space.recovery_steps) == ("small", "slimmable_cnn", "default", 30)
    assert space.data == DataSettings("digits", 300, 128)
    assert {name: parameter.values for name, parameter in space.parameters.items()} == {
        "width": (0.25, 0.5, 1.0),
        "pruning_ratio": (0.0, 0.1, 0.2, 0.3, 0.4),
        "quantization": ("none", "static_int8"),
        "runtime": ("eager", "onnxruntime"),
        "exit_threshold": (1.0,),
        "batch_size": (1,),
        "threads": (1,),
    }
    assert space.objectives == (Objective("accuracy", "maximize"), Objective("latency_ms", "minimize"))
    assert space.constraints == (
        Constraint("peak_memory_mib", "<=", 1024),
        Constraint("accuracy", ">=", 0.95, is_relative=True),
    )
    assert space.search == SearchSettings("tpe", 16, None, 0)
    assert space.device == DeviceSettings("local", 0.05, 0.005, 0.0)


def test_parse_space_of_what_is_required_fills_in_the_rest(parse: Parse) -> None:
    space = parse("name: x\nmodel: slimmable_cnn\ndata: {name: cifar10}\nobjectives: {latency_ms: minimize}\n")
    assert space.data == DataSettings("cifar10", 5000, 512)
    assert Variant(**{name: parameter.values[0] for name, parameter in space.parameters.items()}) == Variant()
    assert all(parameter.is_fixed for parameter in space.parameters.values())
    assert space.search == SearchSettings("tpe", 60, None, 0)
    assert space.constraints == ()


def test_parse_space_of_an_own_network_imports_nothing(parse: Parse) -> None:
    space = parse(OWN.format("not_here.nets:make", "input: unit"))
    assert (space.model, space.recipe) == ("not_here.nets:make", "")


def test_parse_space_of_an_image_folder_keeps_its_path(parse_changed: ParseChanged) -> None:
    space = parse_changed("  name: digits\n", "  name: image_folder\n  path: pets\n")
    assert space.data == DataSettings("image_folder", 300, 512, "pets")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("15m", 900.0), ("0.5", 0.5)])
def test_parse_space_of_a_timeout_gives_seconds(parse_changed: ParseChanged, text: str, seconds: float) -> None:
    assert parse_changed("  seed: 0", f"  timeout: {text}").search.timeout_s == seconds


# Each case: a part of the valid text, what stands there instead, the place of the error, and what it says.
CASES = {
    "unknown top-level key": ("search:", "serach:", 20, 1, "'serach' is no key of a search space", "search"),
    "unknown parameter": ("  quantization:", "  quantisation:", 9, 3, "no key of 'parameters'", "quantization"),
    "unknown data key": ("  validation: 300", "  validatoin: 300", 5, 3, "no key of 'data'; the keys", "validation"),
    "missing required key": ("model: slimmable_cnn\n", "", 1, 1, "the search space has no 'model'", None),
    "missing data name": ("  name: digits\n", "", 3, 1, "'data' has no 'name', which it needs", None),
    "section without keys": ("  sampler: tpe\n  trials: 16\n  seed: 0\n", "", 20, 1, "got nothing", None),
    "section that is a list": ("  name: local\n  hardware_usd_per_hour: 0.05", "  - local", 25, 3, "a mapping", None),
    "name with slashes": ("name: small", "name: ../../x", 1, 7, "[A-Za-z0-9._-]{1,64}", None),
    "name with a slash": ("name: small", "name: a/b", 1, 7, "[A-Za-z0-9._-]{1,64}", None),
    "name of dots": ("name: small", "name: ..", 1, 7, "not only dots", None),
    "name with a line break": ("name: small", 'name: "a\\n"', 1, 7, "line breaks", None),
    "name with NUL": ("name: small", 'name: "a\\0"', 1, 7, "do not print", None),
    "name of emoji": ("name: small", "name: 🚀", 1, 7, "[A-Za-z0-9._-]{1,64}", None),
    "name of 300 letters": ("name: small", "name: " + "x" * 300, 1, 7, "[A-Za-z0-9._-]{1,64}", None),
    "name of markup": ("name: small", "name: <img onerror>", 1, 7, "got '<img onerror>'", None),
    "name that is a number": ("name: small", "name: 7", 1, 7, "expected text, got 7; put it into quotes", None),
    "unknown model": ("model: slimmable_cnn", "model: slimable_cnn", 2, 8, "'slimable_cnn'", "slimmable_cnn"),
    "model of a wrong form": ("model: slimmable_cnn", "model: nets:1x", 2, 8, "package.module:function", None),
    "unknown data set": ("name: digits", "name: cifar100", 4, 9, "data.name: expected a data set", "cifar10"),
    "own network of several widths": ("slimmable_cnn", "nets:make", 7, 11, "only one width), got 0.25", None),
    "no image at all": ("validation: 300", "validation: 0", 5, 15, "expected at least 1, got 0", None),
    "validation of nothing": ("validation: 300", "validation:", 5, 3, "there is no value here", None),
    "calibration that is text": ("validation: 300", "calibration: all", 5, 16, "a whole number, got the text", None),
    "path without folder": ("validation: 300", "path: pets", 5, 9, "only image_folder takes a path", None),
    "folder without path": ("name: digits", "name: image_folder", 4, 3, "needs a 'path'", None),
    "low above high": ("[0.25, 0.5, 1.0]", "[0.25, 1.0, 0.5]", 7, 22, "but 0.5 follows 1.0", None),
    "repeated width": ("[0.25, 0.5, 1.0]", "[0.25, 0.25]", 7, 17, "each once", None),
    "too narrow": ("[0.25, 0.5, 1.0]", "[0.1, 0.5]", 7, 11, "expected at least 0.25 (the narrowest", None),
    "too wide": ("[0.25, 0.5, 1.0]", "2", 7, 10, "expected at most 1, got 2", None),
    "no width": ("[0.25, 0.5, 1.0]", "[]", 7, 10, "the list is empty", None),
    "width that is text": ("[0.25, 0.5, 1.0]", "[0.25, yes]", 7, 17, "expected a number, got the text 'yes'", None),
    "width that is true": ("[0.25, 0.5, 1.0]", "[true]", 7, 11, "expected a number, got true", None),
    "stage too narrow": ("[0.25, 0.5, 1.0]", "{per_stage: [0.1, 1]}", 7, 23, "width.per_stage[0]: expected", None),
    "min above max": ("min: 0.0, max: 0.4", "min: 0.4, max: 0.0", 8, 34, "less than the min", None),
    "step not dividing": ("step: 0.1", "step: 0.3", 8, 45, "does not divide", None),
    "range without step": (", step: 0.1", "", 8, 18, "add a step", None),
    "misspelled step": ("step: 0.1", "setp: 0.1", 8, 39, "no key of a range", "step"),
    "pruning of everything": ("max: 0.4", "max: 1.0", 8, 34, "expected at most 0.9, got 1.0", None),
    "unknown quantization": ("static_int8]", "static_int4]", 9, 24, "a quantization (none, dyn", "static_int8"),
    "repeated quantization": ("static_int8]", "none]", 9, 24, "in the list twice", None),
    "null quantization": ("[none, static_int8]", "null", 9, 17, "got nothing", None),
    "unknown runtime": ("onnxruntime]", "onnx_runtime]", 10, 20, "expected a runtime", "onnxruntime"),
    "threshold of zero": ("exit_threshold: 1.0", "exit_threshold: 0", 11, 19, "expected more than 0", None),
    "batch of zero": ("batch_size: 1", "batch_size: 0", 12, 15, "expected at least 1, got 0", None),
    "batch of a half": ("batch_size: 1", "batch_size: 1.5", 12, 15, "expected a whole number, got 1.5", None),
    "more threads than cores": ("threads: 1", "threads: 999", 13, 12, "process may use: 4), got 999", None),
    "unknown objective": ("  accuracy: maximize", "  acuracy: maximize", 15, 3, "is no metric", "accuracy"),
    "objective the wrong way": ("accuracy: maximize", "accuracy: minimize", 15, 13, "'accuracy: maximize'", None),
    "objective without direction": ("accuracy: maximize", "accuracy:", 15, 3, "the direction is missing", None),
    "unknown direction": ("accuracy: maximize", "accuracy: maximise", 15, 13, "expected a direction", "maximize"),
    "same objective twice": ("latency_ms: minimize", "accuracy: maximize", 16, 3, "the first is on line 15", None),
    "objectives as a list": ("accuracy: maximize\n  latency_ms: minimize", "- accuracy", 15, 3, "a mapping", None),
    "no objectives": ("\n  accuracy: maximize\n  latency_ms: minimize", " {}", 14, 13, "at least one objective", None),
    "constraint with <": ("peak_memory_mib <= 1024", "latency_ms < 5", 18, 5, "write 'latency_ms <= 5'", None),
    "constraint on nothing": ("peak_memory_mib <= 1024", "latency <= 5", 18, 5, "is no metric", "latency_ms"),
    "constraint as a mapping": ("peak_memory_mib <= 1024", "latency_ms: 5", 18, 5, "got a mapping", None),
    "constraint that contradicts": ("peak_memory_mib <= 1024", "accuracy <= 0.9 * baseline", 19, 5, "contra", None),
    "unknown sampler": ("sampler: tpe", "sampler: nsga", 21, 12, "expected a sampler", "nsga3"),
    "no trials": ("trials: 16", "trials: 0", 22, 11, "search.trials: expected at least 1, got 0", None),
    "trials of true": ("trials: 16", "trials: true", 22, 11, "expected a whole number, got true", None),
    "negative timeout": ("seed: 0", "timeout: -5m", 23, 12, "expected a duration", None),
    "timeout of zero": ("seed: 0", "timeout: 0", 23, 12, "more than zero", None),
    "negative seed": ("seed: 0", "seed: -1", 23, 9, "expected at least 0, got -1", None),
    "negative price": ("_hour: 0.05", "_hour: -1", 26, 26, "expected at least 0, got -1", None),
    "price that is text": ("_hour: 0.05", "_hour: 5ct", 26, 26, "expected a number, got the text '5ct'", None),
    "unknown recipe": ("search:", "training: {recipe: quick}\nsearch:", 20, 20, "expected a training recipe", None),
    "unknown weights": ("search:", "training: {weights: best}\nsearch:", 20, 21, "expected weights that", None),
    "weights and recipe": (
        "search:", "training: {recipe: long, weights: shipped}\nsearch:", 20, 20, "remove 'weights' or 'recipe'", None
    ),
    "weights of other data": (
        "search:", "training: {weights: shipped}\nsearch:", 20, 21, "are for cifar10 or cluttered_digits, not for", None
    ),
    "too much recovery": ("search:", "recovery: {steps: 10001}\nsearch:", 20, 19, "at most 10,000", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_parse_space_of_bad_input_points_at_it(
    valid_text: str, parse: Parse, case: tuple[str, str, int, int, str, str | None]
) -> None:
    old, new, line, column, sentence, hint = case
    assert old in valid_text
    with pytest.raises(SpaceError) as caught:
        parse(valid_text.replace(old, new, 1))
    first, *rest = str(caught.value).split("\n")
    assert first.startswith(f"space.yaml:{line}:{column}: ")
    assert sentence in first
    assert (rest[-1] == f"did you mean '{hint}'?") is (hint is not None)
    assert "pydantic" not in str(caught.value)
    assert "Input should" not in str(caught.value)


def test_parse_space_of_one_bad_line_prints_it_whole(parse_changed: ParseChanged) -> None:
    with pytest.raises(SpaceError) as caught:
        parse_changed("  sampler: tpe", "  smapler: tpe")
    assert str(caught.value) == (
        "space.yaml:21:3: 'smapler' is no key of 'search'; the keys are sampler, trials, timeout and seed\n"
        "    smapler: tpe\n"
        "    ^\n"
        "did you mean 'sampler'?"
    )


@pytest.mark.parametrize("text", ["just text", "- a\n- b\n", "7"])
def test_parse_space_of_no_mapping_lists_the_keys(parse: Parse, text: str) -> None:
    with pytest.raises(SpaceError, match=r"space.yaml:1:1: expected a mapping with the keys name, task, model, "):
        parse(text)


def test_parse_space_reports_the_first_of_several_errors(valid_text: str, parse: Parse) -> None:
    text = valid_text.replace("seed: 0", "seed: x").replace("tpe", "tpx").replace("[0.25, 0.5, 1.0]", "[0.5, 0.25]")
    with pytest.raises(SpaceError, match=r"^space.yaml:7:16: "):
        parse(text)


def test_parse_space_of_a_misspelled_required_key_suggests_the_spelling(parse_changed: ParseChanged) -> None:
    with pytest.raises(SpaceError, match=r"^space.yaml:14:1: 'objectves' is no key"):
        parse_changed("objectives:", "objectves:")


def test_parse_space_of_pairs_that_nothing_executes_lists_what_each_runtime_can(valid_text: str, parse: Parse) -> None:
    text = valid_text.replace("[none, static_int8]", "static_int8").replace("[eager, onnxruntime]", "eager")
    with pytest.raises(SpaceError, match=r"^space.yaml:9:17: .*eager executes dynamic_int8 and none"):
        parse(text)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("exit_threshold: 1.0", "exit_threshold: [0.5, 1.0]", "11:20: .*no early exits"),
        ("search:", "training: {recipe: default}\nsearch:", "20:20: .*no training recipes"),
        ("search:", "training: {weights: shipped}\nsearch:", "20:21: .*no weights of this model"),
    ],
)
def test_parse_space_of_an_own_network_refuses_what_it_lacks(
    valid_text: str, parse: Parse, old: str, new: str, place: str
) -> None:
    text = valid_text.replace("slimmable_cnn", "nets:make").replace("[0.25, 0.5, 1.0]", "1.0") + "input: unit\n"
    assert parse(text).recipe == ""
    with pytest.raises(SpaceError, match=f"^space.yaml:{place}"):
        parse(text.replace(old, new))


def test_parse_space_of_shipped_weights_has_no_recipe(parse: Parse, valid_text: str) -> None:
    text = valid_text.replace("name: digits", "name: cifar10")
    space = parse(text.replace("search:", "training: {weights: shipped}\nsearch:"))
    assert (space.recipe, space.is_shipped) == ("", True)
    assert not parse(text).is_shipped


def test_parse_space_of_an_own_network_has_no_shipped_weights(parse: Parse) -> None:
    space = parse(OWN.format("nets:make", "input: unit"))
    assert not space.is_shipped


def test_parse_space_of_widths_per_stage_has_tuples(parse_changed: ParseChanged, vocabulary: Vocabulary) -> None:
    space = parse_changed("[0.25, 0.5, 1.0]", "{per_stage: [0.5, 1.0]}")
    values = space.parameters["width"].values
    assert len(values) == 8
    assert all(isinstance(value, tuple) and len(value) == 3 for value in values)
    grid = Grid(space, vocabulary)
    widths = {grid.variant(index)["width"] for index in range(grid.n_variants)}
    assert len(widths) == 8
    assert widths >= {0.5, 1.0, (0.5, 0.5, 1.0)}


def test_parse_space_checks_threads_against_this_process(valid_text: str, vocabulary: Vocabulary) -> None:
    n_cores = len(os.sched_getaffinity(0))
    text = valid_text.replace("threads: 1", f"threads: {n_cores}")
    assert parse_space(text, vocabulary).parameters["threads"].values == (n_cores,)
    with pytest.raises(SpaceError, match=rf"may use: {n_cores}\), got {n_cores + 1}"):
        parse_space(valid_text.replace("threads: 1", f"threads: {n_cores + 1}"), vocabulary)


def test_parse_space_checks_threads_against_what_a_quota_pays_for(
    valid_text: str, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.space.read.usable_cores", lambda: 3)
    with pytest.raises(SpaceError, match=r"may use: 3\), got 4"):
        parse_space(valid_text.replace("threads: 1", "threads: 4"), vocabulary)


def test_load_space_names_the_file(tmp_path: Path, vocabulary: Vocabulary, valid_text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(valid_text.replace("tpe", "tpx"))
    with pytest.raises(SpaceError, match=rf"^{path}:21:12: search\.sampler"):
        load_space(path, vocabulary)


def test_load_space_with_overrides_takes_them(tmp_path: Path, vocabulary: Vocabulary, valid_text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(valid_text)
    plain = load_space(path, vocabulary)
    space = load_space(path, vocabulary, Overrides("other", 5, 60.0, "random", 7))
    assert (space.name, space.search) == ("other", SearchSettings("random", 5, 60.0, 7))
    assert load_space(path, vocabulary, Overrides()) == plain


def test_load_space_with_a_bad_override_names_the_flag(tmp_path: Path, vocabulary: Vocabulary, valid_text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(valid_text)
    with pytest.raises(UsageError, match=r"^--trials: expected at least 1, got 0$"):
        load_space(path, vocabulary, Overrides(n_trials=0))


@pytest.mark.parametrize(
    ("file", "name", "n_trials", "timeout_s", "n_variants"),
    [("cnn.yaml", "cifar10-cnn", 60, 1200.0, 1400), ("digits.yaml", "digits", 8, None, 216)],
)
def test_load_space_reads_the_shipped_files(
    vocabulary: Vocabulary, file: str, name: str, n_trials: int, timeout_s: float | None, n_variants: int
) -> None:
    space = load_space(SEARCH_SPACES / file, vocabulary)
    assert (space.name, space.search.n_trials, space.search.timeout_s) == (name, n_trials, timeout_s)
    assert space.n_variants(vocabulary) == n_variants


def test_importing_read_loads_no_heavy_library() -> None:
    code = "import sys, explorer.space.read; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "optuna", "onnxruntime", "pandas", "rich"} & set(loaded)


FRAGMENTS = st.sampled_from(
    [
        *("\t", "\n", "\r", ":", "- ", "[", "]", "{", "}", ",", " ", "? ", "| ", "> ", "'", '"', "#", "\\", "_", "-_"),
        *("&a ", "*a", "!x ", "!!python/name:os.system ", "<<: ", "%YAML 1.2\n", "---\n", "...\n", '"\\U00FFFFFF"'),
        *("null", "~", "true", ".nan", "-.inf", "1e999", "1_0", "0x", "0o9", "9" * 30),
        *("\x85", "\u2028", "\ufeff", "\0", "é", "🚀"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[tuple[float, int, str], ...]:
    """Up to five edits: where (as a share of the text), how many characters go, what comes."""
    edit = st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(FRAGMENTS, st.text(max_size=5), st.just("")))
    return tuple(draw(st.lists(edit, min_size=1, max_size=5)))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_parse_space_of_a_mutated_text_loads_or_raises_space_error(
    valid_text: str, parse: Parse, edits: tuple[tuple[float, int, str], ...]
) -> None:
    text = valid_text
    for share, n_removed, inserted in edits:
        start = int(share * len(text))
        text = text[:start] + inserted + text[start + n_removed :]
    with suppress(SpaceError):
        assert isinstance(parse(text), SearchSpace)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_load_space_of_any_bytes_loads_or_raises_space_error(
    tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    with pytest.raises(SpaceError, match=r"bytes\.yaml:"):
        load_space(path, vocabulary)
