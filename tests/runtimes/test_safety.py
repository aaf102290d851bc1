"""Every runtime that is registered can say whether a stranger's file is safe."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.runtimes.registry import RUNTIMES
from explorer.runtimes.safety import UnsafeFile, check_segment, holds, segment_suffix


@pytest.mark.parametrize("name", RUNTIMES)
def test_check_segment_every_registered_runtime_refuses_what_is_not_its_file(name):
    assert segment_suffix(name).startswith(".")
    with pytest.raises(UnsafeFile):
        check_segment(name, b"nothing that any runtime loads")


def test_check_segment_eager_accepts_its_own_and_no_onnx(programs):
    check_segment("eager", programs["none"])
    with pytest.raises(UnsafeFile, match="is not an ONNX model"):
        check_segment("onnxruntime", programs["none"])


def test_check_segment_unknown_runtime_is_a_key_error():
    with pytest.raises(KeyError, match="abacus"):
        check_segment("abacus", b"")


@given(st.lists(st.integers(-2, 2**63), max_size=6), st.integers(0, 2**70))
def test_holds_is_the_product_of_the_shape(dims, n_values):
    is_shape = all(dim >= 0 for dim in dims)
    assert holds(dims, n_values) == (is_shape and math.prod(dims) <= n_values)


def test_holds_of_a_million_dimensions_multiplies_few_of_them():
    class Counted(int):
        n = 0

        def __rmul__(self, other):
            Counted.n += 1
            return int(other) * int(self)

    assert not holds([Counted(2**62)] * 1_000_000, 2**40)
    assert Counted.n == 1
