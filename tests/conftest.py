"""What every test may use: the run's cache and studies, small images, a browser; and in which order tests run.

`make test` runs them in two processes (pytest-xdist): whole files, the long ones first. Tests with the marker
`measures` judge real times. They come last, and alone: see `alone`.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import filelock
import numpy as np
import pytest
from numpy.typing import NDArray

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KNOWN_TIMES = Path(__file__).with_name("known_times.py")
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ

if IS_WORKER:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other workers have the other cores


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files in the order in which two workers are done soonest; those that measure come last."""
    of_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        of_file.setdefault(item.path, []).append(item)
        if item.get_closest_marker("measures") is not None:
            _fixtures(item).insert(0, "alone")
    studies = [path for path, own in of_file.items() if any("small_study" in _fixtures(item) for item in own)]

    def place(path: Path) -> int:
        """One file makes the study that many read. Beside it, and before these, comes what is long and does without."""
        if any(item.get_closest_marker("measures") for item in of_file[path]):
            return 4
        if path in studies:
            return 0 if path == studies[0] else 2
        return 1 if any(item.get_closest_marker("slow") for item in of_file[path]) else 3

    items[:] = [item for path in sorted(of_file, key=place) for item in of_file[path]]


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`: whole files, one after the other as they were collected."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, which all its workers share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if IS_WORKER else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_cache(run_folder: Path) -> Iterator[Path]:
    """No test reads or writes the user's cache; child processes inherit this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPLORER_CACHE", str(run_folder / "cache"))
        yield run_folder / "cache"


@pytest.fixture(autouse=True, scope="session")
def _unflushed() -> Iterator[None]:
    """This process waits for no disk: what a study loses by a power cut, no test of this process sees. Others do."""
    if (storage := sys.modules.get("explorer.study.store.optuna_storage")) is None:
        yield  # no test of this run has a study
        return

    def connect(path: Path, *arguments: Any, **options: Any) -> Any:
        connection = flushed(path, *arguments, **options)
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    flushed = storage.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(storage, "connect", connect)
        yield


@pytest.fixture(autouse=True, scope="session")
def _machine(run_folder: Path) -> Iterator[IO[str]]:
    """Held by every worker until it ends, beside the others."""
    with (run_folder / "machine.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file


@pytest.fixture(scope="session")
def alone(_machine: IO[str]) -> None:
    """From here on no other worker is there: this waits until each has ended."""
    fcntl.flock(_machine, fcntl.LOCK_UN)
    fcntl.flock(_machine, fcntl.LOCK_EX)


@pytest.fixture(scope="session")
def once(run_folder: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """`once(name, make)`: a folder that `make` fills, once a run, whichever worker asks first. Not to be changed."""

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, whole = run_folder / name, run_folder / f"{name}.whole"
        with filelock.FileLock(run_folder / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def known_times(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A command `explore` that measures known times (see known_times.py)."""

    def make(folder: Path) -> None:
        words = shlex.join([sys.executable, "-P", str(KNOWN_TIMES)])
        (folder / "explore").write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (folder / "explore").chmod(0o755)

    return once("known-times", make) / "explore"


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """256 smooth random images [256, 3, 16, 16]: noise alone would saturate a network's confidence."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (256, 3, 4, 4))
    fine = np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3) + rng.integers(-20, 20, (256, 3, 16, 16))
    return np.clip(fine, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote."""

    exit_code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What standard error ends with, from the program's own name on."""
        return self.err.rpartition("explore: ")[2]


@pytest.fixture
def explore(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the command line in this process."""

    from explorer import cli

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["explore", *words])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits for something to become true, `seconds` at most: however slow the machine is."""

    def wait(holds: Callable[[], bool], seconds: float = 300.0) -> None:
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, "it never became true"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the page is tested in Chromium, which CI must install")
        pytest.skip("no chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def axe() -> Path:
    """The script of the npm package axe-core, at AXE_CORE: the file, or the package's folder."""
    place = os.environ.get("AXE_CORE")
    if not place:
        if os.environ.get("CI") == "true":
            pytest.fail("AXE_CORE is not set: CI must install the npm package axe-core and say where it is")
        pytest.skip("AXE_CORE is not set: npm install axe-core, then AXE_CORE=node_modules/axe-core/axe.min.js")
    path = Path(place)
    return path / "axe.min.js" if path.is_dir() else path
