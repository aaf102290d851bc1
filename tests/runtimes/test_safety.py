"""Every runtime that is registered can say whether a stranger's file is safe."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.runtimes.registry import RUNTIMES
from explorer.runtimes.safety import UnsafeFile, check_segment, holds, segment_suffix, unsafe_segments


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


@pytest.fixture
def artifact_with(tmp_path):
    """The facts of an artifact in `tmp_path` with one segment of that name and content."""

    def write(runtime: str, name: str, content: bytes) -> dict[str, object]:
        (tmp_path / "artifact").mkdir()
        (tmp_path / "artifact" / name).write_bytes(content)
        return {"runtime": runtime, "segments": [{"file": name}]}

    return write


def test_unsafe_segments_of_what_this_program_wrote_are_none(programs, artifact_with, tmp_path):
    facts = artifact_with("eager", "segment_0.pt2", programs["dynamic_int8"])
    assert unsafe_segments(tmp_path / "artifact", facts) == []


def test_unsafe_segments_program_with_a_payload_is_named_with_the_reason(programs, rewritten, artifact_with, tmp_path):
    content = rewritten(programs["none"], {"data/constants/opaque_obj_0": b"cos\nsystem\n(S'true'\ntR."})
    facts = artifact_with("eager", "segment_0.pt2", content)
    (found,) = unsafe_segments(tmp_path / "artifact", facts)
    assert found.startswith("'segment_0.pt2' is a program with 'data/constants/opaque_obj_0' in it")


@pytest.mark.parametrize("name", ["../segment_0.pt2", "/etc/passwd", "..", "", "a\nb", "a/b"])
def test_unsafe_segments_name_that_leads_elsewhere_is_refused_before_it_is_read(tmp_path, name):
    (found,) = unsafe_segments(tmp_path / "none", {"runtime": "eager", "segments": [{"file": name}]})
    assert found == f"{name!r} is not the name of a file in the artifact's folder"


def test_unsafe_segments_runtime_that_is_none_of_this_programs_is_as_trusted_as_its_code(artifact_with, tmp_path):
    facts = artifact_with("abacus", "beads.txt", b"ooo")
    assert unsafe_segments(tmp_path / "artifact", facts) == []


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
