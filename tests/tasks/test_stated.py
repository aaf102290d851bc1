"""What tasks say of statements of others: facts, targets, and quality that nobody can have measured."""

from dataclasses import replace

import numpy as np
import pytest

from explorer import intervals
from explorer.tasks.task import TensorSpec, task_named

TASK = task_named("classification")
FACTS = {"classes": ["ant", "bee"]}
OUTPUTS = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 1.05]], dtype=np.float32)
TARGETS = np.array([0, 1, 0])


def test_decisions_are_the_largest_and_settled_where_no_shift_changes_them():
    assert TASK.predictions(OUTPUTS).tolist() == [0, 1, 1]
    assert TASK.settled(OUTPUTS, 0.1).tolist() == [True, True, False]
    assert TASK.settled(OUTPUTS[:, :1], 9.0).all()


@pytest.mark.parametrize("facts", [{}, {"classes": ()}, {"classes": [1]}, {"classes": ["a"], "more": 1}])
def test_facts_of_another_form_are_an_error(facts):
    with pytest.raises(ValueError, match="expected classes alone"):
        TASK.check(facts)


def test_facts_with_a_name_twice_or_none_are_at_fault():
    TASK.check(FACTS)
    for names, why in ((["ant", "ant"], "the class 'ant' is there twice"), (["ant", " "], "has no name")):
        with pytest.raises(ValueError, match=why):
            TASK.check({"classes": names})


def test_targets_of_no_class_are_at_fault():
    assert TASK.target(FACTS) == TensorSpec("target", "int64", ())
    TASK.check(FACTS, TARGETS)
    with pytest.raises(ValueError, match="labels that are not among 0 to 1"):
        TASK.check(FACTS, TARGETS + 1)


def test_quality_that_no_images_give_is_at_fault():
    honest = intervals.share(8, 10)
    stated = {
        "": honest,
        "0.81 is no number of images of 10": replace(honest, value=0.81),
        "the interval of 8 of 10 images is": replace(honest, low=0.1),
        "1 of 10 images, and 2 of the 3 samples among them": intervals.share(1, 10),
        "10 of 10 images, and 2 of the 3 samples among them": intervals.share(10, 10),
    }
    for why, one in stated.items():
        found = TASK.fault_of_quality("accuracy", one, OUTPUTS, TARGETS)
        assert found.startswith(why)
        assert bool(found) == bool(why)


def test_details_have_at_most_five_classes_in_falling_order():
    facts = {"classes": list("abcdefg")}
    (shown,) = TASK.details(np.arange(7.0), facts).values()
    assert [one["name"] for one in shown] == list("gfedc")
    assert TASK.labels(facts) == tuple("abcdefg")
    assert TASK.input_summary((1, 8, 9), facts) == "gray 9 × 8; 7 classes"
