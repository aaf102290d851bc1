import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/fakes.py is shared by several folders of tests


@pytest.fixture
def eventually():
    """Waits for something to become true."""

    def wait(holds, seconds=60.0):
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, "it never became true"
            time.sleep(0.05)

    return wait
