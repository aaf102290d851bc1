"""Recipes: plans that scale with the data set."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from explorer.models.recipes import RECIPES

shapes = st.tuples(st.sampled_from([1, 3]), st.integers(8, 96), st.integers(8, 96))


@given(n_images=st.integers(1, 100_000), shape=shapes, name=st.sampled_from(sorted(RECIPES)))
def test_plan_any_data_set_makes_full_batches_within_an_epoch(
    n_images: int, shape: tuple[int, int, int], name: str
) -> None:
    recipe = RECIPES[name]
    plan = recipe.plan(n_images, shape)

    assert 1 <= plan.batch_size <= min(n_images, recipe.batch_size)
    assert plan.steps_per_epoch * plan.batch_size <= n_images
    assert plan.n_steps >= recipe.epochs * plan.steps_per_epoch
    assert 0 < plan.n_widest_steps < plan.n_steps
    assert plan.padding < min(shape[1:])


def test_plan_of_the_default_recipe_for_cifar10_is_ten_epochs() -> None:
    plan = RECIPES["default"].plan(45_000, (3, 32, 32))

    assert (plan.n_epochs, plan.batch_size, plan.padding, plan.has_flips) == (10, 256, 2, True)


def test_plan_of_gray_images_has_no_flips() -> None:
    assert not RECIPES["default"].plan(1000, (1, 8, 8)).has_flips


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_are_listed_under_their_own_names(name: str) -> None:
    assert RECIPES[name].name == name
