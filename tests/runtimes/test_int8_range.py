"""The range of int8 weights follows the processor's instruction sets, which are scripted: no test asks this one's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from explorer.runtimes import int8_range
from explorer.runtimes.int8_range import FULL, LARGEST, REDUCED, has_int8_dot_products, range_for, range_warning
from explorer.system import environment

VNNI, AVX2 = ["avx2", "avx_vnni"], ["avx2"]


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        (["avx2", "avx512f", "avx512_vnni", "amx_int8"], FULL),
        (["avx2", "avx_vnni"], FULL),
        (["avx2", "avx512f", "amx_int8"], FULL),
        (["asimddp"], FULL),
        (["i8mm"], FULL),
        (["avx2"], REDUCED),
        (["avx2", "avx512f", "avx512_bf16"], REDUCED),
        ([], REDUCED),
    ],
)
def test_range_is_full_where_the_processor_has_int8_dot_products(instructions, expected):
    assert range_for(instructions) == expected
    assert has_int8_dot_products(instructions) == (expected == FULL)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"flags": "fma avx2 avx512f avx512_vnni"}, FULL),
        ({"flags": "fma avx2 f16c"}, REDUCED),
        ({"Features": "fp asimd asimddp"}, FULL),
        ({"Features": "fp asimd"}, REDUCED),
        ({}, REDUCED),
    ],
)
def test_range_here_is_read_from_the_fields_of_cpuinfo(fields, expected, monkeypatch):
    monkeypatch.setattr(environment, "_cpu_fields", lambda: fields)
    monkeypatch.setattr(environment, "processor", environment.processor.__wrapped__)  # as in a fresh process
    assert int8_range.range_here() == expected


def test_two_products_of_reduced_range_fit_into_16_bits_and_of_full_range_do_not():
    assert 2 * 255 * LARGEST[REDUCED] < 2**15 <= 2 * 255 * LARGEST[FULL]


@pytest.mark.parametrize(
    ("stated", "instructions", "words"),
    [
        (FULL, AVX2, "full range, and this processor has no int8 dot products .*accuracy may be lower.*export again"),
        (None, AVX2, "a range not recorded, and .* may saturate"),
        (REDUCED, VNNI, "reduced range, right on any processor.* full range would be possible"),
    ],
)
def test_warning_where_the_range_is_for_other_processors(stated, instructions, words):
    warning = range_warning(stated, instructions)
    assert warning is not None
    assert len(warning) <= 200  # what a table of `explore verify` shows whole
    assert re.search(words, warning)


@pytest.mark.parametrize(("stated", "instructions"), [(FULL, VNNI), (None, VNNI), (REDUCED, AVX2)])
def test_no_warning_where_the_range_fits(stated, instructions):
    assert range_warning(stated, instructions) is None


def test_loading_a_runtime_loads_nothing_for_it_that_a_probe_would_measure():
    code = "import sys, explorer.runtimes.onnxruntime; print('sqlite3' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "False"
