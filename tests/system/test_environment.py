"""How many cores can work for this process: affinity and the quotas of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from explorer.system.environment import usable_cores

CORES = [0, 1, 2, 3]


@pytest.fixture
def usable(tmp_path, monkeypatch):
    """What four cores come to, given a line of /proc/self/cgroup and the groups' files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(CORES))

    def cores(line: str, files: dict[str, str]) -> int:
        (tmp_path / "self").mkdir(exist_ok=True)
        (tmp_path / "self" / "cgroup").write_text(line)
        for name, content in files.items():
            file: Path = tmp_path / "groups" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return usable_cores(tmp_path, tmp_path / "groups")

    return cores


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/\n", {}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "250000 100000\n"}, 2),
        ("0::/outside\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "900000 100000\n"}, 4),
        ("2:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 2),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ("3:cpuset:/\n", {"cpu.max": "100000 100000\n"}, 4),
        ("nonsense", {}, 4),
    ],
)
def test_usable_cores_are_those_of_the_affinity_as_far_as_every_quota_pays(usable, line, files, expected):
    assert usable(line, files) == expected


def test_usable_cores_without_control_groups_are_those_of_the_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(CORES))
    assert usable_cores(tmp_path, tmp_path) == 4
