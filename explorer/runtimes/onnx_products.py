"""ONNX models of one matrix product, float32 and int8: what the processor is asked for when its peak is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

    from explorer.runtimes.staged import Array

INPUT, OUTPUT = "left", "product"
_SEED = 0


def float32_product(size: int) -> bytes:
    """float32 [size, size] times a constant of the same shape."""
    from onnx import TensorProto, helper

    weights = np.random.default_rng(_SEED).standard_normal((size, size), dtype=np.float32)
    node = helper.make_node("MatMul", [INPUT, "right"], [OUTPUT])
    return _model(node, TensorProto.FLOAT, size, {"right": weights})


def int8_product(size: int) -> bytes:
    """uint8 [size, size] times a constant int8 one, quantized again to uint8: a layer of our static int8 models.

    ONNX Runtime runs those layers as QLinearConv, whose product and requantization are QLinearMatMul's.
    """
    from onnx import TensorProto, helper

    weights = np.random.default_rng(_SEED).integers(-127, 128, (size, size)).astype(np.int8)
    zero_points = {"left_zero": np.uint8(128), "right_zero": np.int8(0), "product_zero": np.uint8(128)}
    # Sums of `size` products of two uniform bytes (standard deviation 74 each) shall spread over uint8: 40 steps.
    scale_of_sums = 0.02 * 0.01 * 74.0**2 * size**0.5 / 40
    scales = {"left_scale": 0.02, "right_scale": 0.01, "product_scale": scale_of_sums}
    names = [INPUT, "left_scale", "left_zero", "right", "right_scale", "right_zero", "product_scale", "product_zero"]
    constants = {"right": weights} | {name: np.asarray(value) for name, value in zero_points.items()}
    constants |= {name: np.asarray(value, dtype=np.float32) for name, value in scales.items()}
    return _model(helper.make_node("QLinearMatMul", names, [OUTPUT]), TensorProto.UINT8, size, constants)


def _model(node: onnx.NodeProto, kind: int, size: int, constants: dict[str, Array]) -> bytes:
    """One node; its input and output are [size, size] of the same type."""
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info(INPUT, kind, [size, size])],
        [helper.make_tensor_value_info(OUTPUT, kind, [size, size])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return content
