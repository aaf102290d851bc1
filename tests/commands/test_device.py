"""`explore device`: what it says of the machine's peaks and of its energy."""

from __future__ import annotations

import json

import pytest

from explorer.commands import device
from explorer.measure.energy import EnergyCounter
from explorer.measure.noise import Noise
from explorer.measure.roofline_peaks import Peaks
from explorer.system import environment

NOISE = Noise(20.0, 500, 0.3, 1.35, 2.5, 0.014)


@pytest.fixture
def machine(monkeypatch):
    """A machine whose peaks, energy and noise are given."""

    def give(peaks: Peaks) -> None:
        monkeypatch.setattr(device, "machine_peaks", lambda threads: peaks)
        monkeypatch.setattr(device, "measured_noise", lambda: NOISE)
        monkeypatch.setattr(EnergyCounter, "open", lambda: EnergyCounter((), "no counters"))
        monkeypatch.setattr(EnergyCounter, "of_graphics", lambda: EnergyCounter(()))

    return give


def test_device_known_peaks_are_printed_with_their_age(machine, capsys, monkeypatch):
    machine(Peaks(115.2, 425.7, 35.3, 1, 87.4, 2**25, "2026-01-01T00:00:00+00:00"))
    monkeypatch.setattr(Peaks, "age_s", 7300.0)
    device.device(is_json=False)
    shown = capsys.readouterr().out
    assert "one thread: float32 115 GFLOP/s, int8 426 GFLOP/s, 35.3 GB/s from memory, 87.4 from the cache" in shown
    assert "measured 2 hours ago" in shown
    assert "energy       no counters" in shown
    assert "graphics     energy: readable" in shown
    assert "noise        this core is quiet 30% of the time, and 1.35 times slower otherwise; " in shown
    assert "latencies will be good to 1.4% at 2.5 s a variant" in shown
    assert "measured for 20 s; delete " in shown


def test_device_unknown_peaks_are_printed_with_the_reason(machine, capsys):
    machine(Peaks.unknown(1, "the child died"))
    device.device(is_json=False)
    assert "peaks        unknown: the child died" in capsys.readouterr().out


def test_device_json_holds_peaks_age_and_energy(machine, capsys):
    machine(Peaks(115.2, 425.7, 35.3, 1, measured_at="2026-01-01T00:00:00+00:00"))
    device.device(is_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert facts["peaks"]["float32_gflops"] == 115.2
    assert facts["peaks"]["age_s"] > 0
    assert facts["peaks"]["file"].endswith(".json")
    assert (facts["noise"]["quiet_ratio"], facts["noise"]["sentence"]) == (0.3, NOISE.sentence)
    assert (facts["energy"], facts["graphics_energy"]) == ("no counters", "readable")


@pytest.mark.parametrize(
    ("instructions", "said"),
    [
        (["avx2", "avx_vnni"], "int8 weights full range: the processor has int8 dot products"),
        (["avx2"], "int8 weights reduced range: the processor has no int8 dot products"),
    ],
)
def test_device_says_the_range_of_int8_weights(machine, capsys, monkeypatch, instructions, said):
    machine(Peaks.unknown(1, "the child died"))
    here = {**environment.processor(), "instructions": instructions}
    monkeypatch.setattr(environment, "processor", lambda: here)
    device.device(is_json=False)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 seconds"), (1, "1 second"), (59.9, "59 seconds"), (3600, "1 hour"), (200_000, "2 days")],
)
def test_age_is_in_the_largest_unit(seconds, said):
    assert device._age(seconds) == said
