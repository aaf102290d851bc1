"""Recipes: plans that scale with the data set."""

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from explorer.models.recipes import RECIPES, Augmentation

shapes = st.tuples(st.sampled_from([1, 3]), st.integers(8, 96), st.integers(8, 96))


@given(n_images=st.integers(1, 100_000), shape=shapes, name=st.sampled_from(sorted(RECIPES)))
def test_plan_any_data_set_makes_full_batches_within_an_epoch(
    n_images: int, shape: tuple[int, int, int], name: str
) -> None:
    recipe = RECIPES[name]
    plan = recipe.plan(n_images, shape)

    assert 1 <= plan.batch_size <= min(n_images, recipe.batch_size)
    assert plan.steps_per_epoch * plan.batch_size <= n_images
    assert plan.n_steps >= sum(cycle.epochs for cycle in recipe.cycles) * plan.steps_per_epoch
    assert 0 < plan.cycles[0].n_widest_steps < plan.cycles[0].n_steps
    assert plan.augmentation.padding < min(shape[1:])


@given(n_images=st.integers(1, 5000), name=st.sampled_from(sorted(RECIPES)))
def test_plan_every_step_is_in_one_cycle(n_images: int, name: str) -> None:
    plan = RECIPES[name].plan(n_images, (3, 32, 32))

    assert plan.cycles[0].first_step == 0
    for before, after in pairwise(plan.cycles):
        assert before.first_step + before.n_steps == after.first_step
    for cycle in plan.cycles:
        assert plan.cycle_of(cycle.first_step) == plan.cycle_of(cycle.first_step + cycle.n_steps - 1) == cycle


def test_plan_of_the_default_recipe_for_cifar10_is_ten_epochs() -> None:
    plan = RECIPES["default"].plan(45_000, (3, 32, 32))

    assert (plan.n_epochs, plan.batch_size, plan.augmentation) == (10, 256, Augmentation(2, True))


def test_plan_of_gray_images_has_no_flips() -> None:
    assert not RECIPES["default"].plan(1000, (1, 8, 8)).augmentation.has_flips


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_are_listed_under_their_own_names(name: str) -> None:
    assert RECIPES[name].name == name
