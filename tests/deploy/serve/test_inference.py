import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_stand_ins import INPUT, Script, model_of

from explorer.deploy.serve.inference import datatype_of, from_bytes, from_json, shape_of, to_bytes, to_json
from explorer.deploy.serve.requests import Limits, Refused

SHAPES = st.tuples(*[st.integers(1, 4)] * 4)


@st.composite
def pixels(draw):
    shape = draw(SHAPES)
    values = draw(st.binary(min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return np.frombuffer(values, np.uint8).reshape(shape)


@given(pixels())
def test_tensor_flat_nested_and_binary_is_the_same(tensor):
    shape = tensor.shape
    for made in (
        from_json(tensor.reshape(-1).tolist(), shape, INPUT),
        from_json(tensor.tolist(), shape, INPUT),
        from_bytes(tensor.tobytes(), shape, INPUT),
    ):
        assert made.dtype == np.uint8
        assert np.array_equal(made, tensor)
        assert made.flags.writeable


@given(pixels(), st.integers(), st.data())
def test_tensor_with_one_value_outside_the_range_is_refused(tensor, value, data):
    values = tensor.reshape(-1).tolist()
    place = data.draw(st.integers(0, len(values) - 1))
    values[place] = value
    if 0 <= value <= 255:
        assert from_json(values, tensor.shape, INPUT).reshape(-1)[place] == value
    else:
        with pytest.raises(Refused, match="must be integers from 0 to 255"):
            from_json(values, tensor.shape, INPUT)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=20,
)


@given(st.lists(ANYTHING, max_size=8))
def test_data_of_any_kind_make_a_tensor_or_a_refusal(data):
    assert outcome_of(lambda: from_json(data, (2, 1, 2, 1), INPUT).shape) in (400, (2, 1, 2, 1))


@given(st.lists(ANYTHING, max_size=6))
def test_shape_of_any_kind_is_the_models_or_refused(shape):
    tensor = {"datatype": "UINT8", "shape": shape}
    model, limits = model_of(Script()), Limits.of_input(INPUT)
    assert outcome_of(lambda: shape_of(tensor, model, limits)[1:]) in (400, (3, 8, 8))


def outcome_of(make):
    try:
        return make()
    except Refused as refused:
        return refused.status


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_numbers_are_written_exactly(dtype):
    tensor = np.array([[0.1, -7.25], [3e5, 2.0]]).astype(dtype)
    assert np.array_equal(np.array(to_json(tensor), dtype).reshape(tensor.shape), tensor)
    assert np.array_equal(np.frombuffer(to_bytes(tensor), np.dtype(dtype).newbyteorder("<")).reshape(2, 2), tensor)
    assert datatype_of(tensor) == {"float32": "FP32", "int64": "INT64"}[np.dtype(dtype).name]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_strings_are_written_each_after_its_length(texts):
    content, found = to_bytes(texts), []
    while content:
        (length,) = struct.unpack("<I", content[:4])
        found.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    assert found == to_json(texts) == texts
    assert datatype_of(texts) == "BYTES"
