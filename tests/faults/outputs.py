"""Commands whose standard output is something else than a file: one after the other, each in a process of its own.

    outputs.py FOLDER < CASES

CASES is a JSON list of {"arguments", "sink", "encoding", "term"}. Prints a JSON list of {"code", "out", "err"}. A sink
is `file`, `pipe` (whose reader has gone), `full` (/dev/full), `closed`, `all closed` (standard input and error too), or
`terminal`. The processes are forks, so that the program is imported once.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from explorer.cli import main


def output_of(sink: str, folder: Path) -> int:
    """A descriptor for standard output."""
    if sink == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
        return writing
    if sink == "full":
        return os.open("/dev/full", os.O_WRONLY)
    return os.open(folder / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def close(sink: str) -> None:
    """Close what is to be closed, as Python finds it at its start."""
    closed = {"closed": ("stdout",), "all closed": ("stdin", "stdout", "stderr")}.get(sink, ())
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if name in closed:
            os.close(number)
            setattr(sys, name, None)


def become(case: dict[str, str], folder: Path, output: int) -> None:
    """Turn this process into `explore`; what it returns to is the end of the interpreter."""
    os.dup2(output, 1)
    os.dup2(os.open(folder / "err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        stream.reconfigure(encoding=case["encoding"], errors=errors)
    os.environ["TERM"] = case["term"]
    sys.argv = ["explore", *case["arguments"]]
    close(case["sink"])
    main()


def everything(terminal: int) -> bytes:
    """What a process writes to its terminal until it ends."""
    chunks = []
    while True:
        try:
            chunks.append(os.read(terminal, 65536))
        except OSError:  # the other end is closed
            return b"".join(chunks)


def answers(case: dict[str, str], folder: Path) -> dict[str, object] | None:
    """How the command ended, and what it wrote; None in the process that was the command."""
    terminal, output = pty.openpty() if case["sink"] == "terminal" else (-1, output_of(case["sink"], folder))
    child = os.fork()
    if not child:
        become(case, folder, output)
        return None
    os.close(output)
    shown = b""
    if terminal >= 0:
        shown = everything(terminal)
        os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if case["sink"] == "file":
        shown = (folder / "out").read_bytes()
    text = shown.decode("utf-8", "replace")
    return {"code": code, "out": text, "err": (folder / "err").read_text(encoding="utf-8")}


def run() -> None:
    for name in ("check", "read"):  # once, for every fork
        import_module(f"explorer.commands.{name}")
    folder = Path(sys.argv[1])
    answered = [answers(case, folder) for case in json.load(sys.stdin)]
    print(json.dumps(answered))


def ended(folder: Path, *cases: dict[str, object], **options: Any) -> list[dict[str, Any]]:
    """How each command ends and what it writes; `folder` is for this to write in, `options` are of the process."""
    plain = {"encoding": "utf-8", "term": "dumb"}
    script = [sys.executable, "-W", "error", __file__, str(folder)]
    text = json.dumps([plain | case for case in cases])
    shown = subprocess.run(script, input=text, capture_output=True, text=True, check=False, timeout=300, **options)
    assert shown.returncode == 0, shown.stderr
    return list(json.loads(shown.stdout))


if __name__ == "__main__":
    run()
