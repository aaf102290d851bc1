"""Coordinators in processes of their own, and how to be sure that nothing of them is left.

Whatever they orphan becomes a child of this process (PR_SET_CHILD_SUBREAPER), so that nothing can be left unseen.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # forking wants no threads
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import alembic.command
import coordinator
import psutil
from optuna.storages import RDBStorage

from explorer.measure.roofline_peaks import Peaks, cache_file
from explorer.views.server import app, thread

PATHS = [str(Path(__file__).parents[level]) for level in range(3)]  # these files, tests, the package
PRELOADED = (alembic.command, RDBStorage, app, thread)
"""What a start imports late: who is forked has it already."""

SPACE = """\
name: killed
model: scripted
data: {name: digits}
parameters:
  width: {min: 0.25, max: 1.0, step: 0.05}
  pruning_ratio: {min: 0.0, max: 0.9, step: 0.05}
  quantization: [none, dynamic_int8, static_int8]
  runtime: [scripted]
objectives: {accuracy: maximize, latency_ms: minimize, cost_usd_per_million: minimize}
constraints:
  - accuracy >= 0.75 * baseline
"""
_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_S = 300.0
_LONGEST_END_S = 60.0
_POLL_S = 0.005


class Fault(Exception):
    """Something that must hold does not."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a study runs: its folder, and beside it what the test keeps. `root` is absolute and without links."""

    root: Path

    @property
    def study(self) -> Path:
        return self.root / "studies" / "killed"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def acknowledged(self) -> Path:
        return self.root / "acknowledged.log"

    @property
    def steps(self) -> Path:
        return self.root / "steps.log"

    @property
    def stderr(self) -> str:
        return (self.root / "stderr").read_text(encoding="utf-8")

    def make(self) -> None:
        """Write the search space and this machine's peaks, which would take seconds to measure."""
        self.cache.mkdir(parents=True)
        (self.root / "space.yaml").write_text(SPACE, encoding="ascii")
        os.environ["EXPLORER_CACHE"] = str(self.cache)
        peaks = Peaks(100.0, 200.0, 10.0, 1, measured_at=datetime.now(UTC).isoformat(timespec="seconds"))
        cache_file(1).parent.mkdir(parents=True)
        cache_file(1).write_text(json.dumps({"peaks": asdict(peaks)}), encoding="ascii")


def prepare_process() -> None:
    """Make this process the parent of whatever its descendants orphan, and signals what they are at a terminal."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        signal.signal(number, handler)  # a shell may have begun this process with both ignored
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1) != 0:
        raise OSError(ctypes.get_errno(), "this process cannot become a subreaper")


def start(place: Place, *options: object, is_fresh: bool = False, **environment: str) -> int:
    """Begin `explore start` in a process of its own; returns its id.

    A fresh one imports the program anew, and can be hit while it does; others are forked, and begin at once.
    """
    words = ["start", str(place.root / "space.yaml"), "--studies", str(place.root / "studies"), *map(str, options)]
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until the child handles it as its own
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return child
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        os.environ |= {coordinator.LOG: str(place.acknowledged), "EXPLORER_CACHE": str(place.cache), **environment}
        os.environ |= {"PYTHONPATH": os.pathsep.join(PATHS), "PYTHONDONTWRITEBYTECODE": "1"}
        for descriptor, path in ((0, os.devnull), (1, place.root / "stdout"), (2, place.root / "stderr")):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
        if is_fresh:
            os.execv(sys.executable, [sys.executable, coordinator.__file__, *words])
        coordinator.run(words)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def exit_code(child: int) -> int:
    """Wait for a process; its exit code, negative for a signal. Raises Fault when it does not end."""
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL_S)
    os.kill(child, signal.SIGKILL)
    raise Fault(f"the coordinator did not end within {_LONGEST_S:g} s")


def has_ended(child: int) -> bool:
    """Whether a process has ended; it can still be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def require_nobody() -> None:
    """Wait for what the coordinator orphaned. Raises Fault when some of it still runs after a while."""
    until = time.monotonic() + _LONGEST_END_S
    while True:
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not found and time.monotonic() > until:
            raise Fault(f"I7 processes are left: {[p.cmdline() for p in psutil.Process().children(recursive=True)]}")
        time.sleep(0.0 if found else _POLL_S)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def require_free(port: int) -> None:
    """Raises Fault when somebody listens there."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is in TIME_WAIT is nobody's
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise Fault(f"I7 port {port} is left: {error}") from error
