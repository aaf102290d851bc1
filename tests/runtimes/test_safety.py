"""Every runtime that is registered can say whether a stranger's file is safe."""

from __future__ import annotations

import pytest

from explorer.runtimes.registry import RUNTIMES
from explorer.runtimes.safety import UnsafeFile, check_segment, segment_suffix


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
