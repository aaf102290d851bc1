"""Run a command as on an older processor: AVX2, and neither AVX-512 nor VNNI, BF16 or AMX.

    python benchmarks/older_processor.py python -m pytest tests/runtimes
    python benchmarks/older_processor.py explore start search_spaces/digits.yaml

The libraries (ONNX Runtime's MLAS, oneDNN, OpenBLAS, fbgemm) ask CPUID once and take their AVX2 kernels, at native
speed; what asks /proc/cpuinfo reads the same. Exits with the command's code, or with 2 where it is not possible here:
it takes Linux on x86-64, a processor and a kernel that can make CPUID fault (the flag cpuid_fault), and a C compiler.

Limits: what is linked statically (Go, many Rust programs) sees the true processor, as do the C library's own copies and
comparisons of memory, programs that a command starts without its environment, and files of /sys. A library that was
compiled for AVX-512 alone runs and uses it. Times are those of this machine's AVX2 units, not of an old machine.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
_CPUINFO = Path("/proc/cpuinfo")
_HIDDEN = re.compile(r" (avx512\w*|avx_vnni\w*|amx_\w+|avx_ifma|avx_ne_convert|avx10\w*)(?=\s)")
_SYS_ARCH_PRCTL, _ARCH_SET_CPUID = 158, 0x1012


def why_not() -> str | None:
    """Why no command can be run as on an older processor here, or None."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return f"expected Linux on x86-64, got {platform.system()} on {platform.machine()}"
    if ctypes.CDLL(None, use_errno=True).syscall(_SYS_ARCH_PRCTL, _ARCH_SET_CPUID, 1) != 0:
        return f"this processor or kernel cannot make CPUID fault ({os.strerror(ctypes.get_errno())})"
    if not (shutil.which("cc") or shutil.which("gcc")):
        return "expected a C compiler, and neither cc nor gcc is installed"
    return None


def older_flags(cpuinfo: str) -> str:
    """The text of /proc/cpuinfo without the instruction sets that an older processor has not."""
    return _HIDDEN.sub("", cpuinfo)


def library(folder: Path) -> Path:
    """The library to preload, compiled into `folder`, with the text of /proc/cpuinfo that it shows beside it."""
    shown, target = folder / "cpuinfo", folder / "older_processor.so"
    shown.write_text(older_flags(_CPUINFO.read_text(encoding="utf-8")), encoding="utf-8")
    compiler = shutil.which("cc") or "gcc"
    options = ["-O1", "-shared", "-fPIC", "-D_FORTIFY_SOURCE=0", f'-DCPUINFO="{shown}"', "-ldl"]
    subprocess.run([compiler, "-o", str(target), str(SOURCE), *options], check=True)
    return target


def run(command: list[str]) -> int:
    """The command's exit code, 128 and the signal's number where a signal ended it."""
    with tempfile.TemporaryDirectory(prefix="older-processor-") as place:
        others = os.environ.get("LD_PRELOAD")
        preload = " ".join(filter(None, (str(library(Path(place))), others)))
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the command itself, which ends as it likes
        with subprocess.Popen(command, env={**os.environ, "LD_PRELOAD": preload}) as process:
            signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            code = process.wait()
    return code if code >= 0 else 128 - code


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    if (why := why_not()) is not None:
        print(f"older_processor.py: {why}", file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(run(sys.argv[1:]))
    except (OSError, subprocess.CalledProcessError) as error:  # no such command, or the compiler's own words above it
        print(f"older_processor.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
