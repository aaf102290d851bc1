"""The products that the peaks are measured with give what NumPy gives."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from explorer.runtimes.int8_range import LARGEST, REDUCED, range_here
from explorer.runtimes.onnxruntime import float32_product, int8_product
from explorer.runtimes.onnxruntime_loading import session_of

SIZE = 48


def constants(content: bytes) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(content).graph.initializer}


@pytest.mark.parametrize("make", [float32_product, int8_product])
def test_product_is_a_valid_model_and_the_same_each_time(make):
    content = make(SIZE)
    onnx.checker.check_model(content, full_check=True)
    assert make(SIZE) == content


def test_float32_product_is_numpys():
    content = float32_product(SIZE)
    left = np.random.default_rng(1).standard_normal((SIZE, SIZE), dtype=np.float32)
    (made,) = session_of(content, 1)(left)
    np.testing.assert_allclose(made, left @ constants(content)["right"], rtol=1e-4, atol=1e-4)


def test_int8_product_is_numpys_within_one_step_and_seldom_clipped():
    content = int8_product(SIZE)
    known = constants(content)
    assert known["right"].dtype == np.int8
    assert abs(known["right"]).max() == LARGEST[REDUCED]  # else it saturates on older processors
    left = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
    (made,) = session_of(content, 1)(left)
    sums = (left.astype(np.int64) - 128) @ known["right"].astype(np.int64)
    scaled = sums * float(known["left_scale"]) * float(known["right_scale"]) / float(known["product_scale"]) + 128
    assert made.dtype == np.uint8
    np.testing.assert_allclose(made, np.clip(scaled, 0, 255), atol=1.0)
    assert np.mean((made > 0) & (made < 255)) > 0.9
    assert made.std() > 20


def integer_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """MatMulInteger of `left` with the constant `right`, both of zero point 0."""
    kind = helper.np_dtype_to_tensor_dtype(left.dtype)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", kind, left.shape)],
        [helper.make_tensor_value_info("product", TensorProto.INT32, None)],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (made,) = session_of(model.SerializeToString(), 1)(left)
    return made


@pytest.mark.parametrize("n_rows", [1, 33])
def test_products_of_the_largest_weights_of_this_devices_range_do_not_saturate(n_rows):
    """What the instruction sets promise is what the kernels do."""
    left = np.full((n_rows, 64), 255, np.uint8)
    right = np.full((64, 20), LARGEST[range_here()], np.int8)
    right[:, ::2] *= -1
    np.testing.assert_array_equal(integer_product(left, right), left.astype(np.int32) @ right.astype(np.int32))


@pytest.mark.parametrize("n_rows", [1, 33])
def test_products_of_dynamic_int8_do_not_saturate_on_any_processor(n_rows):
    """ONNX Runtime's have uint8 weights, torchao's int8 activations."""
    left, right = np.full((n_rows, 64), 255, np.uint8), np.full((64, 20), 255, np.uint8)
    np.testing.assert_array_equal(integer_product(left, right), left.astype(np.int32) @ right.astype(np.int32))
    activations, weights = np.full((n_rows, 64), -128, np.int8), np.full((20, 64), -127, np.int8)
    made = torch._int_mm(torch.from_numpy(activations), torch.from_numpy(weights).t()).numpy()
    np.testing.assert_array_equal(made, activations.astype(np.int32) @ weights.T.astype(np.int32))
