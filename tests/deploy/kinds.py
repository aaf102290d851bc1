"""Every kind of variant that the small study has."""

import pytest

KINDS = [
    pytest.param(kind, id="-".join(str(part) for part in kind))
    for kind in (
        ("eager", "none", 1.0, 0.0),
        ("eager", "none", 0.8, 0.3),
        ("eager", "dynamic_int8", 0.8, 0.0),
        ("onnxruntime", "none", 1.0, 0.0),
        ("onnxruntime", "none", 0.8, 0.0),
        ("onnxruntime", "dynamic_int8", 1.0, 0.0),
        ("onnxruntime", "static_int8", 1.0, 0.3),
        ("onnxruntime", "static_int8", 0.8, 0.0),
    )
]
"""Runtime, quantization, exit threshold, pruning ratio: every kind of variant that the small study has."""
