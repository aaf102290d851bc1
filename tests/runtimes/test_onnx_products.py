"""The products that the peaks are measured with give what NumPy gives."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from explorer.runtimes.onnx_products import float32_product, int8_product
from explorer.runtimes.onnxruntime import session_of

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
    left = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
    (made,) = session_of(content, 1)(left)
    sums = (left.astype(np.int64) - 128) @ known["right"].astype(np.int64)
    scaled = sums * float(known["left_scale"]) * float(known["right_scale"]) / float(known["product_scale"]) + 128
    assert made.dtype == np.uint8
    np.testing.assert_allclose(made, np.clip(scaled, 0, 255), atol=1.0)
    assert np.mean((made > 0) & (made < 255)) > 0.9
    assert made.std() > 20
