"""The child that times the same arithmetic as often as it is asked, against itself as its anchor. NumPy alone."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from explorer.measure.answering import Answers, failure_of, serve
from explorer.measure.timing import Budget, Timed, Timer

_SIZE = 200_000  # exponentials, about a fifth of a millisecond on one core: the size of a small network's query


def measure(request: dict[str, Any], answers: Answers) -> None:
    """Answer `{"seconds"}` with everything that was timed in so long, as `measure.timing.Timed` has it."""
    try:
        timed = same_work(request["seconds"])
    except Exception as error:  # its own words are the reason why there is no noise floor
        answers.failure(*failure_of(error, "probe"))
    else:
        answers.result({field.name: getattr(timed, field.name).tolist() for field in fields(timed)})


def same_work(seconds: float) -> Timed:
    """Time it for so many seconds, after a warm-up."""
    values = np.random.default_rng(0).random(_SIZE)  # a matrix product would use every core
    timer = Timer(lambda n: np.exp(values), 1, lambda: np.exp(values))
    timer.warm_up()
    timer.run(Budget(20, seconds, 5 * seconds))
    return timer.timed()


if __name__ == "__main__":
    serve(measure, lambda request: list(request["cores"]))
