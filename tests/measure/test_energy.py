"""Energy counters: a powercap tree made by hand, read through the real zeus; and every reason for not knowing."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from explorer.measure.energy import EnergyCounter

HAS_ZEUS = importlib.util.find_spec("zeus") is not None
needs_zeus = pytest.mark.skipif(not HAS_ZEUS, reason="zeus, the optional energy package, is not installed")


@pytest.fixture(autouse=True)
def _no_daemon(monkeypatch):
    for name in ("ZEUSD_SOCK_PATH", "ZEUSD_HOST_PORT"):
        monkeypatch.delenv(name, raising=False)


def zone(root: Path, name: str, energy: int, label: str = "package-0", largest: int = 1000) -> Path:
    """One zone of /sys/class/powercap; its counter's file."""
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{label}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest}\n")
    return folder / "energy_uj"


def moving(*files: Path) -> Callable[[float], None]:
    """A wait in which every counter goes on by one."""

    def wait(_: float) -> None:
        for file in files:
            file.write_text(f"{int(file.read_text()) + 1}\n")

    return wait


@needs_zeus
def test_counters_are_summed_and_may_wrap(tmp_path):
    first, second = zone(tmp_path, "intel-rapl:0", 100), zone(tmp_path, "intel-rapl:1", 990, "package-1")
    counter = EnergyCounter.open(tmp_path, moving(first, second))
    assert counter.why is None
    before = counter.read_uj()
    assert before == [101, 991]
    first.write_text("151\n")
    second.write_text("10\n")
    assert counter.used_uj(before) == 50 + 20


@needs_zeus
def test_counters_of_platform_and_parts_are_not_counted_twice(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", 5)
    zone(tmp_path, "intel-rapl:0:0", 3, "core")
    zone(tmp_path, "intel-rapl:1", 7, "psys")
    counter = EnergyCounter.open(tmp_path, moving(package))
    assert counter.read_uj() == [6]


@needs_zeus
def test_counters_start_no_process(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", 5)
    counter = EnergyCounter.open(tmp_path, moving(package))
    counter.used_uj(counter.read_uj())
    assert multiprocessing.active_children() == []


@needs_zeus
def test_counters_that_stand_still_are_unknown_not_zero(tmp_path):
    zone(tmp_path, "intel-rapl:0", 5)
    counter = EnergyCounter.open(tmp_path, lambda _: None)
    assert counter.sources == ()
    assert "stand still" in counter.why


@needs_zeus
def test_counters_without_a_package_are_unknown(tmp_path):
    zone(tmp_path, "intel-rapl:0", 5, "psys")
    assert "expected a zone called package-0, got psys" in EnergyCounter.open(tmp_path).why


@needs_zeus
def test_counters_that_do_not_read_as_numbers_are_unknown(tmp_path):
    zone(tmp_path, "intel-rapl:0", 5).write_text("much\n")
    assert "the RAPL counters cannot be read" in EnergyCounter.open(tmp_path).why


def test_counters_absent_are_unknown_with_the_reason(tmp_path):
    counter = EnergyCounter.open(tmp_path)
    assert counter.used_uj(counter.read_uj()) is None
    assert "no RAPL energy counters" in counter.why


def test_counters_of_root_alone_are_unknown_with_the_way_out(tmp_path, monkeypatch):
    file = zone(tmp_path, "intel-rapl:0", 5)
    read_text = Path.read_text

    def refused(path: Path, *args: object, **kwargs: object) -> str:
        if path == file:
            raise PermissionError(13, "Permission denied")
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refused)
    assert "cannot be read (Permission denied); as root: chmod a+r" in EnergyCounter.open(tmp_path).why


def test_counters_readable_without_zeus_are_unknown_with_the_way_out(tmp_path, monkeypatch):
    zone(tmp_path, "intel-rapl:0", 5)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "not installed: pip install 'pareto-explorer[energy]'" in EnergyCounter.open(tmp_path).why


def test_open_without_counters_imports_no_zeus(tmp_path):
    code = (
        "import sys; from pathlib import Path; from explorer.measure.energy import EnergyCounter\n"
        f"EnergyCounter.open(Path({str(tmp_path)!r})); EnergyCounter.of_graphics(Path({str(tmp_path / 'no')!r}))\n"
        "print(any(name.split('.')[0] == 'zeus' for name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert run.stdout.strip() == "False"


@needs_zeus
def test_counters_of_a_daemon_that_does_not_answer_are_unknown(tmp_path, monkeypatch):
    from zeus.device.cpu.common import ZeusCPUInitError

    zone(tmp_path, "intel-rapl:0", 5)
    monkeypatch.setenv("ZEUSD_SOCK_PATH", "somewhere")

    def refuse() -> None:
        raise ZeusCPUInitError("cannot reach the daemon")

    monkeypatch.setattr("zeus.device.cpu.rapl.RAPLCPUs", refuse)
    assert "the RAPL counters cannot be read: cannot reach the daemon" in EnergyCounter.open(tmp_path).why


@needs_zeus
def test_counters_of_a_daemon_are_read_in_microjoules(tmp_path, monkeypatch):
    zone(tmp_path, "intel-rapl:0", 5)
    readings = iter([1.0, 2.0, 2.0, 4.5])
    cpu = SimpleNamespace(get_total_energy_consumption=lambda: SimpleNamespace(cpu_mj=next(readings)))
    monkeypatch.setenv("ZEUSD_SOCK_PATH", "somewhere")
    monkeypatch.setattr("zeus.device.cpu.rapl.RAPLCPUs", lambda: SimpleNamespace(cpus=[cpu]))
    counter = EnergyCounter.open(tmp_path, lambda _: None)
    assert counter.used_uj(counter.read_uj()) == 2500


def test_graphics_without_a_driver_are_unknown(tmp_path):
    assert "no NVIDIA driver" in EnergyCounter.of_graphics(tmp_path / "version").why


@pytest.mark.parametrize(("can_count", "why"), [(True, None), (False, "no graphics card here counts its energy")])
@needs_zeus
def test_graphics_are_read_in_microjoules_where_they_count(tmp_path, monkeypatch, can_count, why):
    (tmp_path / "version").write_text("NVRM")
    readings = iter([7, 7, 9])
    card = SimpleNamespace(
        supports_get_total_energy_consumption=lambda: can_count, get_total_energy_consumption=lambda: next(readings)
    )
    module = ModuleType("zeus.device.gpu")
    module.get_gpus = lambda: SimpleNamespace(gpus=[card])
    monkeypatch.setitem(sys.modules, "zeus.device.gpu", module)
    counter = EnergyCounter.of_graphics(tmp_path / "version")
    assert (counter.why or "").startswith(why or "")
    assert bool(counter.sources) is can_count
    if can_count:
        assert counter.used_uj(counter.read_uj()) == 2000


@needs_zeus
def test_graphics_whose_library_refuses_are_unknown(tmp_path, monkeypatch):
    from zeus.device.gpu.common import ZeusGPUInitError

    (tmp_path / "version").write_text("NVRM")

    def refuse() -> None:
        raise ZeusGPUInitError("NVML unavailable")

    monkeypatch.setattr("zeus.device.gpu.get_gpus", refuse)
    assert "cannot be read: NVML unavailable" in EnergyCounter.of_graphics(tmp_path / "version").why
