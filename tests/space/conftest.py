"""What the tests of the search space share: a vocabulary, a valid text, and a reader with plenty of cores."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from explorer.models.registry import OWN, exit_threshold, width
from explorer.parameters import PARAMETERS
from explorer.space.read import parse_space
from explorer.space.values import FamilyTraits, SearchSpace, Vocabulary

TEXT = """\
name: small
model: slimmable_cnn
data:
  name: digits
  validation: 300
parameters:
  width: [0.25, 0.5, 1.0]
  pruning_ratio: {min: 0.0, max: 0.4, step: 0.1}
  quantization: [none, static_int8]
  runtime: [eager, onnxruntime]
  exit_threshold: 1.0
  batch_size: 1
  threads: 1
objectives:
  accuracy: maximize
  latency_ms: minimize
constraints:
  - peak_memory_mib <= 1024
  - accuracy >= 0.95 * baseline
search:
  sampler: tpe
  trials: 16
  seed: 0
device:
  name: local
  hardware_usd_per_hour: 0.05
"""


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    traits = FamilyTraits(
        (width(0.25, n_stages=3), exit_threshold()), ("default", "long"), ("cifar10", "cluttered_digits")
    )
    return Vocabulary(
        datasets=("cifar10", "image_folder", "digits", "cluttered_digits"),
        families={"slimmable_cnn": traits},
        own=OWN,
        parameters=tuple(spec for name, spec in PARAMETERS.items() if name not in ("width", "depth", "exit_threshold")),
        runtimes={
            "eager": frozenset({"none", "dynamic_int8"}),
            "onnxruntime": frozenset({"none", "dynamic_int8", "static_int8"}),
        },
        samplers=("tpe", "nsga2", "nsga3", "gp", "random", "qmc", "grid"),
    )


@pytest.fixture(scope="session")
def valid_text() -> str:
    return TEXT


@pytest.fixture(scope="session")
def parse(vocabulary: Vocabulary) -> Callable[[str], SearchSpace]:
    def parse(text: str) -> SearchSpace:
        return parse_space(text, vocabulary, name="space.yaml", max_threads=4)

    return parse


@pytest.fixture(scope="session")
def parse_changed(parse: Callable[[str], SearchSpace]) -> Callable[[str, str], SearchSpace]:
    """Reads the valid text with one part of it replaced."""

    def parse_changed(old: str, new: str) -> SearchSpace:
        assert TEXT.count(old) == 1, old
        return parse(TEXT.replace(old, new))

    return parse_changed
