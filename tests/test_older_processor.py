"""The tool that runs a command as on an older processor; what needs a compiler and a kernel is skipped without them."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOL = Path(__file__).parents[1] / "benchmarks" / "older_processor.py"


@pytest.fixture(scope="module")
def tool() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(TOOL)))


def test_flags_of_newer_processors_are_hidden_and_others_stay(tool):
    flags = "flags\t\t: fma avx avx2 avx512f avx512_vnni sha_ni avx_vnni avx512_bf16 amx_bf16 amx_tile amx_int8 pku\n"
    assert tool.older_flags(flags + "bugs : x\n") == "flags\t\t: fma avx avx2 sha_ni pku\nbugs : x\n"
    assert tool.older_flags("model name : Xeon avx\n") == "model name : Xeon avx\n"


@pytest.mark.parametrize(
    ("program", "code", "expected"),
    [
        ("import torch; print(torch.backends.cpu.get_cpu_capability())", 0, "AVX2"),
        ("from explorer.system.environment import processor; print(processor()['instructions'])", 0, "['avx2']"),
        ("raise SystemExit(3)", 3, ""),
        ("import os; os.kill(os.getpid(), 11)", 139, ""),
    ],
)
def test_command_sees_the_older_processor_and_ends_as_it_would(tool, program, code, expected):
    if why := tool.why_not():
        pytest.skip(why)
    if "avx2" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("this processor has no AVX2")
    command = [sys.executable, str(TOOL), sys.executable, "-c", program]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout.strip()) == (code, expected), made.stderr
