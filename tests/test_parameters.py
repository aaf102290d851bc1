"""Parameters: declared once, and from there in every part of the program."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from explorer.deploy.manifest import read_variant
from explorer.errors import ExplorerError, NotAvailable
from explorer.parameters import PARAMETERS, Names, Numbers, ParameterSpec, check_specs, in_order, require_agreement
from explorer.records import Variant
from explorer.space.read import parse_space
from explorer.study.search.grid import Grid
from explorer.study.vocabulary import vocabulary
from explorer.views.formatting import parameter_title

RATIO = ParameterSpec("ratio", "network", 0.0, Numbers(0, 0.5), "A share.")


def test_parameters_are_in_the_order_of_their_phases() -> None:
    assert {spec.phase: None for spec in PARAMETERS.values()} == dict.fromkeys(("network", "export", "artifact", "run"))
    assert all(spec.name == name and spec.summary for name, spec in PARAMETERS.items())
    assert not any(spec.expected(spec.baseline) for spec in PARAMETERS.values())


def test_parameters_load_no_torch() -> None:
    code = "import sys; from explorer.records import Variant; hash(Variant(width=0.5)); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def test_in_order_of_two_families_allows_what_either_does() -> None:
    wider = replace(RATIO, allowed=Numbers(0.1, 0.9, n_stages=3))
    (merged,) = in_order((RATIO, wider)).values()
    assert merged.allowed == Numbers(0, 0.9, n_stages=3)


@pytest.mark.parametrize("other", [replace(RATIO, baseline=1.0), replace(RATIO, phase="run")])
def test_contradicting_declaration_of_a_plugin_ends_what_uses_the_plugin(other: ParameterSpec) -> None:
    assert in_order((RATIO, other)) == {"ratio": RATIO}
    wrong = replace(other, name="pruning_ratio")
    with pytest.raises(NotAvailable, match="the runtime 'x' has the parameter 'pruning_ratio' with the baseline"):
        require_agreement("the runtime 'x'", (PARAMETERS["threads"], wrong))


@pytest.mark.parametrize(
    ("rule", "value", "is_allowed"),
    [
        (Numbers(0, 1), 0.5, True),
        (Numbers(0, 1), 1, True),
        (Numbers(0, 1), 1.5, False),
        (Numbers(0, 1), True, False),
        (Numbers(0, 1), math.nan, False),
        (Numbers(0, 1), "0.5", False),
        (Numbers(0, 1), (0.5, 1.0), False),
        (Numbers(0, 1, n_stages=2), (0.5, 1.0), True),
        (Numbers(0, 1, n_stages=2), (0.5, 2.0), False),
        (Numbers(0, 1, n_stages=2), (), False),
        (Numbers(0, 1, is_open=True), 0.0, False),
        (Numbers(0, math.inf, is_whole=True), 2, True),
        (Numbers(0, math.inf, is_whole=True), 2.0, False),
        (Numbers(0, math.inf, is_whole=True), 2**60, False),
        (Names(("a",), "a letter"), "b", True),
        (Names(("a",), "a letter"), 1, False),
    ],
)
def test_expected_is_empty_for_allowed_values(rule: Numbers | Names, value: object, is_allowed: bool) -> None:
    assert (replace(RATIO, allowed=rule).expected(value) == "") is is_allowed


SPACE = """\
name: deep
model: slimmable_cnn
data: {name: digits}
parameters: {depth: {min: 0, max: 2, step: 1}, width: [0.5, 1.0]}
objectives: {accuracy: maximize, latency_ms: minimize}
"""


def test_depth_is_in_the_file_and_in_the_grid() -> None:
    space = parse_space(SPACE, vocabulary())
    assert space.parameters["depth"].values == (0, 1, 2)
    grid = Grid(space, vocabulary())
    assert (grid.n_variants, set(grid.distributions)) == (6, {"width", "depth"})
    assert {grid.variant(index)["depth"] for index in range(6)} == {0, 1, 2}


def test_depth_of_an_own_network_is_no_parameter() -> None:
    own = SPACE.replace("slimmable_cnn", "nets:make\ninput: unit")
    with pytest.raises(ExplorerError, match=r"'depth' is no key of 'parameters'"):
        parse_space(own, vocabulary())
    without = own.replace("parameters: {depth: {min: 0, max: 2, step: 1}, width: [0.5, 1.0]}\n", "")
    assert list(parse_space(without, vocabulary()).parameters) == [name for name in PARAMETERS if name != "depth"]


def test_depth_out_of_range_is_refused() -> None:
    with pytest.raises(ExplorerError, match=r"expected at most 2 \(no stage of this model has more blocks\), got 3"):
        parse_space(SPACE.replace("max: 2", "max: 3"), vocabulary())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"depth": 3}, r"variant\.depth: expected at most 2"),
        ({"width": "1"}, r"variant\.width: expected a number, got '1'"),
        ({"batch_size": 0}, r"variant\.batch_size: expected at least 1"),
        ({"speed": 1}, "expected an object of the parameters"),
    ],
)
def test_read_variant_of_other_values_is_refused(change: dict[str, object], match: str) -> None:
    whole = Variant({name: spec.baseline for name, spec in PARAMETERS.items()}).to_json()
    assert read_variant(whole) == read_variant(Variant(whole)) == Variant()
    with pytest.raises(ValueError, match=match):
        read_variant({**whole, **change})


def test_read_variant_without_a_parameter_of_every_model_is_refused() -> None:
    whole = Variant({name: spec.baseline for name, spec in PARAMETERS.items()}).to_json()
    del whole["threads"]
    with pytest.raises(ValueError, match=r"variant\.threads: expected a value, got none"):
        read_variant(whole)


def test_parameter_title_is_the_declared_one() -> None:
    assert [parameter_title(name) for name in ("width", "pruning_ratio", "of-elsewhere")] == [
        "width", "pruning", "of-elsewhere"
    ]  # fmt: skip


def test_spec_of_a_phase_that_there_is_not_is_refused():
    with pytest.raises(
        ValueError, match="expected the phase of 'extra' as one of network, export, artifact, run, got 'build'"
    ):
        ParameterSpec("extra", "build", 1, Numbers(0, 2), "An extra.")


@pytest.mark.parametrize("specs", [None, ("width",), [5]])
def test_check_specs_refuses_what_is_no_tuple_of_specs(specs):
    with pytest.raises(TypeError, match="expected its parameters as a tuple of ParameterSpec"):
        check_specs(specs)
