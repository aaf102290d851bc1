"""Children that misbehave, one a mode; run with `python -m faulty_child`."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

from explorer.system.worker_loop import Answers, serve


def handle(request: dict[str, str], answers: Answers) -> None:
    answers.phase("work")
    mode = request["mode"]
    descriptor = int(sys.argv[1])
    if mode == "well":
        answers.progress({"stage": "half"})
        answers.result({"value": 1})
    elif mode == "was stopped":
        answers.result({"value": signal.SIGCONT in signal.sigpending()})
    elif mode == "says failure":
        answers.failure("its kind", "its reason")
    elif mode == "segfault":
        print("last words", file=sys.stderr, flush=True)
        ctypes.string_at(0)
    elif mode == "abort":
        os.abort()
    elif mode == "exit 0":
        os._exit(0)
    elif mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    elif mode == "not json":
        os.write(descriptor, b"{half\n")
    elif mode == "not an object":
        os.write(descriptor, b"[1]\n")
    elif mode == "unknown answer":
        os.write(descriptor, b'{"what": 1}\n')
    elif mode == "breaks off":
        os.write(descriptor, b'{"number": 1, "res')
        os._exit(0)
    elif mode == "deep":
        os.write(descriptor, b"[" * 50_000 + b"\n")
    elif mode == "signal without a name":
        os.kill(os.getpid(), signal.SIGRTMIN + 5)
    elif mode == "stale answers":
        while True:
            os.write(descriptor, b'{"number": 0, "result": {}}\n')
    elif mode == "answers twice":
        answers.result({"value": 4})
        answers.result({"value": 5})
    elif mode == "endless":
        for _ in range(20 * 64):
            os.write(descriptor, b"x" * 16384)
    elif mode == "noisy":
        for _ in range(2000):
            os.write(2, b"noise " * 5000)
        os.write(2, b"the end")
        time.sleep(0.2)
        answers.result({"value": 2})
    elif mode == "closes output":
        os.close(1)
        os.close(2)
        time.sleep(0.3)
        answers.result({"value": 3})
    elif mode == "leaves a child":
        grandchild = subprocess.Popen(["sleep", "60"], start_new_session=True)
        answers.result({"pid": grandchild.pid})
    elif mode == "where":
        answers.result({"cores": sorted(os.sched_getaffinity(0)), "group": os.getpgid(0), "pid": os.getpid()})


if __name__ == "__main__":
    serve(handle, lambda request: list(request.get("cores", [])))  # type: ignore[call-overload]
