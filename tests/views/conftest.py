import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def makers():
    """The makers of made-up studies."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("makers.py"))))


@pytest.fixture
def clock():
    """A clock that moves only when it is told to: `clock.now += 1`."""

    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()
