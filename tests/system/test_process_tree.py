"""Process trees: what is left for one, what it holds, and who belongs to it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.system import process_tree
from explorer.system.process_tree import MARK, Watchdog, limit_mib

GIB = 2**30


def machine(folder: Path, available_mib: float, swap_mib: float = 0.0, groups: str = "0::/\n") -> Path:
    """A folder like /proc."""
    (folder / "self").mkdir(parents=True, exist_ok=True)
    lines = f"MemTotal: 99 kB\nMemAvailable: {int(available_mib * 1024)} kB\nSwapFree: {int(swap_mib * 1024)} kB\n"
    (folder / "meminfo").write_text(lines)
    (folder / "self" / "cgroup").write_text(groups)
    return folder


def group(folder: Path, limit: str, used: int, inactive: int, version: int) -> None:
    """A control group's folder; bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    limit_name, usage_name, kept_name = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    (folder / limit_name).write_text(f"{limit}\n")
    (folder / usage_name).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{kept_name} {inactive}\n")


@pytest.mark.parametrize(
    ("available_mib", "swap_mib", "expected"),
    [(20_000, 0, 18_000), (18_000, 2_000, 18_000), (2_000, 0, 1_488), (600, 0, 300), (0, 0, 0)],
)
def test_limit_of_a_machine_leaves_room_for_the_coordinator(tmp_path, available_mib, swap_mib, expected):
    assert limit_mib(machine(tmp_path, available_mib, swap_mib), tmp_path / "none") == pytest.approx(expected)


def test_limit_of_a_control_group_counts_file_pages_as_free(tmp_path):
    proc = machine(tmp_path / "proc", 20_000, groups="0::/a/b\n")
    group(tmp_path / "groups" / "a" / "b", "max", 3 * GIB, 0, version=2)
    group(tmp_path / "groups" / "a", str(8 * GIB), 4 * GIB, GIB, version=2)
    assert limit_mib(proc, tmp_path / "groups") == pytest.approx(5 * 1024 - 512)


def test_limit_in_a_container_of_version_1_is_that_of_the_root_it_sees(tmp_path):
    proc = machine(tmp_path / "proc", 20_000, groups="3:cpu:/x\n2:memory,other:/docker/unseen\n")
    group(tmp_path / "groups" / "memory", str(4 * GIB), GIB, GIB // 2, version=1)
    assert limit_mib(proc, tmp_path / "groups") == pytest.approx(3.5 * 1024 - 512)


def test_limit_without_information_is_infinite(tmp_path):
    assert limit_mib(tmp_path, tmp_path) == math.inf


def test_limit_of_this_machine_is_less_than_its_memory():
    assert 0 < limit_mib() < psutil.virtual_memory().total / 2**20 + psutil.swap_memory().total / 2**20


@given(st.floats(0, 1e6), st.floats(1, 1e6))
def test_pause_is_over_before_memory_could_reach_the_limit(held, limit):
    """Unless it is so close that the shortest pause is taken."""
    pause_s = Watchdog(os.getpid(), "none", limit)._pause_s(held)
    assert 0.05 <= pause_s <= 1.0
    assert pause_s == 0.05 or held + pause_s * 4096 <= limit * (1 + 1e-9)


@pytest.fixture
def family():
    """A marked child that holds 100 MiB, shared with a forked copy, and an orphan with a session of its own."""
    code = (
        "import os, subprocess, sys, time\n"
        "kept = b'x' * (100 << 20)\n"
        "if os.fork() == 0:\n"
        "    subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=subprocess.DEVNULL)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "if os.fork():\n"
        "    print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    token = f"test-{os.getpid()}"
    environment = {**os.environ, MARK: token}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process, token
        process.kill()
        process.stdout.close()
        process.wait()
        process_tree.end([], token, 5.0)


def test_relatives_are_descendants_and_orphans_and_end_with_them(family):
    process, token = family
    names = {relative.name() for relative in process_tree.relatives(process.pid, token)}
    assert len(names) == 2
    assert "sleep" in names
    assert {relative.pid for relative in process_tree.relatives(process.pid, "another")} < {
        relative.pid for relative in process_tree.relatives(process.pid, token)
    }
    process.kill()
    process.wait()
    process_tree.end([], token, 5.0)
    assert process_tree.relatives(process.pid, token) == []


def test_look_counts_shared_pages_once_where_it_matters_and_only_known_members_while_undisturbed(family):
    process, token = family
    assert Watchdog(process.pid, token, 1e6).look(is_undisturbed=False) > 200
    assert 100 < Watchdog(process.pid, token, 1e6).look(is_undisturbed=True) < 150
    assert 100 < Watchdog(process.pid, token, 120.0).look(is_undisturbed=False) < 150


def test_held_of_a_process_that_is_gone_is_nothing():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert process_tree.held_mib(process.pid) == process_tree.proportional_mib(process.pid) == 0
