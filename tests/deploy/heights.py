"""A task that is no classification: three numbers from four, of which nothing is decided, read from text files."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from explorer import intervals
from explorer.metrics import Metric
from explorer.tasks.task import Task, TensorSpec


class UnreadableFile(ValueError):
    """A file that is not four numbers."""

    is_too_large = False


def read_upload(content, shape):
    """Return the numbers in a text."""
    try:
        return np.array(content.decode().split(), dtype=np.float32).reshape(shape)
    except ValueError as error:
        raise UnreadableFile("expected four numbers") from error


class Heights(Task):
    """Errors of heights."""

    name = "heights"
    metrics = (Metric("height_error", "error", "m", "minimize", (0, float("inf")), "mean absolute error"),)
    noun = ("site", "sites")

    @property
    def files(self):
        """This module's functions."""
        module = ModuleType("files")
        module.UnreadableFile, module.read_upload = UnreadableFile, read_upload
        module.answer = lambda output, facts: {"heights": output.tolist()}
        return module

    def n_outputs(self, facts):
        """Return 3."""
        return 3

    def target(self, facts):
        """Return three heights."""
        return TensorSpec("heights", "float32", (3,))

    def scores(self, outputs, targets):
        """Return the mean absolute error [n] of outputs [n, 3] and targets [n, 3]."""
        return {"height_error": np.abs(outputs - targets).mean(axis=1).astype(np.float64)}

    def measure(self, outputs, targets):
        """Return the mean of the scores; outputs [n, 3], targets [n, 3]."""
        return {"height_error": intervals.mean(self.scores(outputs, targets)["height_error"])}

    def loss(self, outputs, targets):
        """Return the mean absolute error, a scalar."""
        return (outputs - targets).abs().mean()
