"""Which cores measure, and that everybody comes back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from explorer.system import cores


def test_measuring_takes_the_last_cores():
    assert cores.measuring([0, 1, 4, 5], 2) == [4, 5]


def test_measuring_more_threads_than_cores_is_refused():
    with pytest.raises(ValueError, match="3 threads need as many cores"):
        cores.measuring([0, 1], 3)


def test_kept_free_moves_other_processes_off_and_back():
    everything = cores.available()
    if len(everything) < 2:
        pytest.skip("one core cannot be kept free of another")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with cores.keep_free(everything[-1:], [os.getpid(), other.pid]):
            assert os.sched_getaffinity(0) == set(everything[:-1])
            assert os.sched_getaffinity(other.pid) == set(everything[:-1])
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other.pid) == set(everything)
        other.communicate(b"\n")


def test_kept_free_every_core_measures_leaves_all_where_they_are():
    everything = cores.available()
    with cores.keep_free(everything, [os.getpid()]):
        assert os.sched_getaffinity(0) == set(everything)
