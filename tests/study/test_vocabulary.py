"""How many trials a study can have."""

from dataclasses import replace

import pytest
from fakes import small_space, start

from explorer.space.values import Parameter
from explorer.study.vocabulary import n_possible_trials

FEW = {"width": (0.5, 1.0), "runtime": ("eager",)}


@pytest.mark.parametrize(("n_trials", "values", "expected"), [(4, {}, 4), (60, FEW, 16), (12, FEW, 12)])
def test_n_possible_trials_are_no_more_than_variants(n_trials, values, expected):
    assert n_possible_trials(small_space(n_trials=n_trials, **values)) == expected


def test_n_possible_trials_of_a_runtime_that_is_not_known_here_are_those_asked_for():
    space = small_space(n_trials=60)
    parameters = {**space.parameters, "runtime": Parameter("runtime", ("of-elsewhere",))}
    assert n_possible_trials(replace(space, parameters=parameters)) == 60


@pytest.mark.parametrize("widths", [(0.5, 1.0), (0.25, 0.5)])  # with the baseline, and without
def test_n_possible_trials_are_those_of_a_study_that_tries_every_variant(tmp_path, widths):
    space = small_space(n_trials=60, width=widths, pruning_ratio=(0.0,), runtime=("eager",), quantization=("none",))
    assert len(start(space, tmp_path / "small").trials) == n_possible_trials(space)
