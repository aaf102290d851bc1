"""What every test may use: a cache of its own, small networks, small images."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the user's cache; child processes inherit this one."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPLORER_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """256 smooth random images [256, 3, 16, 16]: noise alone would saturate a network's confidence."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (256, 3, 4, 4))
    fine = np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3) + rng.integers(-20, 20, (256, 3, 16, 16))
    return np.clip(fine, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def digits_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the study of digits.yaml, whole, as a user runs it, and the JSON that this printed.

    It takes minutes. Not to be changed: what changes it works on a copy.
    """
    root = Path(__file__).parents[1]
    studies = tmp_path_factory.mktemp("digits")
    space = str(root / "search_spaces" / "digits.yaml")
    explore = str(Path(sys.executable).with_name("explore"))
    command = [explore, "start", space, "--studies", str(studies), "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return studies / "digits", done.stdout


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits for something to become true."""

    def wait(holds: Callable[[], bool]) -> None:
        until = time.monotonic() + 60.0
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
