"""Whether an array can hold what its shape says, without computing a large product."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from explorer.runtimes.untrusted.files import holds


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
