"""Classification: one class of several for each image. Targets are class numbers int64 [n], outputs are logits [n, k].

Facts: `classes`, the names in the order of the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.metrics import Metric
from explorer.observation import Section
from explorer.records import Measurement
from explorer.tasks.task import Array, Facts, Quality, Reference, Task, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor

_N_SHOWN, _N_DESCRIBED, _LONGEST_SHOWN = 4, 12, 60
_ROUNDING = 1e-12
N_SHOWN = 5
MAX_CLASSES = 100_000


def hits(outputs: Array, targets: Array) -> NDArray[np.float64]:
    """Return 1.0 for each image whose largest logit is its class's, else 0.0, [n]; outputs [n, k], targets [n]."""
    right: NDArray[np.bool_] = outputs.argmax(axis=1) == targets
    return right.astype(np.float64)


@final
class Classification(Task):
    """Images, each of one class."""

    name = "classification"
    qualities = (
        Quality(Metric("accuracy", "accuracy", "ratio", "maximize", (0, 1), "share of images classified correctly",
                       best=1.0), scores=hits),
    )  # fmt: skip
    input_name = "images"
    output_name = "logits"
    has_pixels = True
    class_name = "Classifier"
    noun = ("image", "images")
    output_noun = ("logits", "classes")
    verb = ("classify", "classified")
    file_types = "image/jpeg,image/png,image/webp,image/bmp,image/gif"

    @property
    def files(self) -> ModuleType:
        """Image files as inputs, logits as classes."""
        from explorer.tasks import classification_files

        return classification_files

    def n_outputs(self, facts: Facts) -> int:
        """Return the number of classes."""
        return len(facts["classes"])

    def input_facts(self, spec: TensorSpec) -> Mapping[str, Any]:
        """Return that inputs are pixels of images, gray or in color, channels first."""
        return {"layout": "NCHW", "color": "gray" if spec.shape[0] == 1 else "RGB", "range": [0, 255]}

    def check(self, facts: Facts, targets: Array | None = None) -> None:
        """Raise ValueError unless there are `classes` alone, each with its own name, and targets [n] number them."""
        names: Any = facts.get("classes")
        is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if set(facts) != {"classes"} or not is_list or not 1 <= len(names) <= MAX_CLASSES:
            raise ValueError(f"expected classes alone, a list of 1 to {MAX_CLASSES:,} names")
        if twice := [name for name, n in Counter[str](names).items() if n > 1]:
            raise ValueError(f"the class {twice[0][:80]!r} is there twice")
        if not all(map(str.strip, names)):
            raise ValueError("one of the classes has no name")
        if targets is None:
            return
        if targets.ndim != 1 or targets.dtype.kind not in "iu":
            raise ValueError(f"targets {targets.dtype} {list(targets.shape)}, expected whole numbers [n]")
        if ((targets < 0) | (targets >= len(names))).any():
            raise ValueError(f"labels that are not among 0 to {len(names) - 1}")

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """Return the names of the classes."""
        return tuple(facts["classes"])

    def details(self, output: Array, facts: Facts) -> Mapping[str, Any]:
        """Return the five most probable classes with their softmax probabilities, in falling order; output [k]."""
        logits, names = output.astype(np.float64), facts["classes"]
        weights = np.exp(logits - logits.max())
        best = np.argsort(-logits, kind="stable")[:N_SHOWN]
        return {"classes": [{"name": names[i], "probability": float(weights[i] / weights.sum())} for i in best]}

    def description(self, facts: Facts) -> str:
        """Return the number of classes, and the names of the first ones."""
        names = [name if name.isprintable() else repr(name)[1:-1] for name in facts["classes"]]
        shown = ", ".join(names[:_N_DESCRIBED]) + (", …" if len(names) > _N_DESCRIBED else "")
        return f"An image classifier of {len(names)} classes ({shown})"

    def target(self, facts: Facts) -> TensorSpec:
        """Return the number of a class."""
        return TensorSpec("target", "int64", ())

    def input_summary(self, shape: tuple[int, ...], facts: Facts) -> str:
        """Return color and size of the images, and the number of classes; shape (c, h, w)."""
        return f"{'gray' if shape[0] == 1 else 'RGB'} {shape[2]} × {shape[1]}; {len(facts['classes'])} classes"

    def strata(self, targets: Array) -> NDArray[np.int64]:
        """Return the classes: targets [n]."""
        return targets

    def predictions(self, outputs: Array) -> NDArray[np.int64]:
        """Return the class [n] with the largest logit; outputs [n, k]."""
        return np.asarray(outputs.argmax(axis=1), dtype=np.int64)

    def settled(self, outputs: Array, shift: float) -> NDArray[np.bool_]:
        """Return for each image [n] whether its two largest logits differ by more than 2 · shift; outputs [n, k]."""
        if outputs.shape[1] == 1:
            return np.ones(len(outputs), dtype=np.bool_)
        second, first = np.partition(outputs, -2, axis=1)[:, -2:].T
        return np.asarray(first - second > 2 * shift)

    def confidence_within(self, outputs: Array, shift: float) -> tuple[Array, Array]:
        """Return the ends of the softmax confidences [n], given logits [n, k].

        The log-odds of the most probable class, the distance of its logit from the log-sum-exp of the others, change by
        at most 2 · shift.
        """
        odds = _log_odds(outputs)
        least, most = (1 / (1 + np.exp(-np.clip(odds + move, -700, 700))) for move in (-2 * shift, 2 * shift))
        return least - _ROUNDING, most + _ROUNDING

    def fault_of_quality(self, name: str, stated: Measurement, outputs: Array, targets: Array) -> str:
        """Return why no k of n images give that accuracy with Wilson's interval; outputs [m, k], targets [m]."""
        n = stated.n or 0
        hits = round((stated.value or 0.0) * n)
        expected = intervals.share(hits, n)
        if not intervals.is_near(stated.value, expected.value):
            return f"{stated.value:g} is no number of images of {n}"
        if not intervals.is_same(stated, expected):
            return f"the interval of {hits} of {n} images is {expected.low:.6g} to {expected.high:.6g}"
        n_right, n_samples = int((self.predictions(outputs) == targets).sum()), len(targets)
        if hits < n_right or n - hits < n_samples - n_right:
            return f"{hits} of {n} images, and {n_right} of the {n_samples} samples among them"
        return ""

    def reference(self, metric: Metric, facts: Facts) -> float:
        """Return the accuracy of naming classes at random."""
        return 1.0 / len(facts["classes"])

    def references(self, targets: Array, facts: Facts) -> tuple[Reference, ...]:
        """Return the accuracies of naming classes at random, and the most frequent class every time; targets [n]."""
        classes = facts["classes"]
        counts = np.bincount(targets, minlength=len(classes))
        most = int(counts.argmax())
        share = float(counts[most] / max(1, counts.sum()))
        return (
            Reference("chance", 1.0 / len(classes)),
            Reference("majority class", share, f"naming the class {_quoted(classes[most])} every time gives"),
        )

    def suspicions(self, facts: Facts) -> tuple[str, ...]:
        """Return that the network may have the classes in another order."""
        names = [_quoted(name) for name in facts.get("classes", ())]
        more = ", ..." if len(names) > _N_SHOWN else ""
        order = f" ({', '.join(names[:_N_SHOWN])}{more})" if names else ""
        return (f"its classes are in another order than the data's{order}",)

    def sections(self, outputs: Array, targets: Array, facts: Facts) -> tuple[Section, ...]:
        """Return the accuracy of each class that has an image; outputs [n, k], targets [n]."""
        right = hits(outputs, targets)
        of_class = ((name, targets == number) for number, name in enumerate(facts["classes"]))
        rows = tuple((name, float(right[which].mean()), int(which.sum())) for name, which in of_class if which.any())
        return (Section("Accuracy by class", ("class", "accuracy", "images"), rows),)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy of logits [b, k] with classes [b], or with shares [b, k] of classes."""
        from torch.nn import functional

        return functional.cross_entropy(outputs, targets)

    def lessons(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the classes, [b, k], given logits [b, k] (Hinton, Vinyals & Dean 2015)."""
        return outputs.softmax(dim=1)


def _log_odds(outputs: Array) -> Array:
    """Return log(p / (1 - p)) of the largest softmax probability p: [n, k] -> [n], infinite for a single output."""
    ordered = np.sort(outputs.astype(np.float64), axis=-1)
    largest, others = ordered[..., -1], ordered[..., :-1]
    if not others.shape[-1]:
        return np.full(largest.shape, np.inf)
    second = others[..., -1]
    return np.asarray(largest - second - np.log(np.exp(others - second[..., None]).sum(axis=-1)))


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_SHOWN else f"{name[: _LONGEST_SHOWN - 1]}…")
