"""`explore device`: processor, memory, runtimes, roofline peaks, sensors and noise of this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from explorer.commands.printing import console, print_json
from explorer.measure.anchor import level_file
from explorer.measure.energy import EnergyCounter
from explorer.measure.noise import Noise, measured_noise
from explorer.measure.roofline_peaks import cache_file, machine_peaks
from explorer.runtimes.int8_range import FULL, range_here
from explorer.runtimes.runtime import Runtime, survey
from explorer.study.store.database import journal_mode, journal_reason
from explorer.system import environment
from explorer.system.hashing import cache_root


def device(is_json: bool) -> None:
    """Print the facts about this machine."""
    facts = _facts()
    if is_json:
        print_json(facts)
    else:
        _print(facts)


def _facts() -> dict[str, Any]:
    return {
        "processor": environment.processor(),
        "int8_range": range_here(),
        "memory_mib": environment.memory_mib(),
        **environment.system(),
        "journal_mode": journal_mode(),
        "journal_reason": journal_reason(),
        "software": environment.software(),
        "runtimes": _runtimes(),
        "peaks": _peaks(),
        "energy": EnergyCounter.open().why or "readable",
        "graphics_energy": EnergyCounter.of_graphics().why or "readable",
        "noise": _noise(measured_noise()),
        "cache": str(cache_root()),
    }


def _runtimes() -> dict[str, Any]:
    """Return the facts of each runtime, and of each plugin that cannot be used, why not."""
    usable, faults = survey()
    broken = {name: {"missing": why, "versions": {}, "quantizations": []} for name, why in faults.items()}
    return {name: _runtime(plugin) for name, plugin in usable.items()} | broken


def _runtime(plugin: Runtime) -> dict[str, Any]:
    missing = plugin.missing()
    return {
        "missing": missing,
        "versions": {} if missing else plugin.software(),
        "quantizations": sorted(plugin.quantizations),
    }


def _noise(noise: Noise) -> dict[str, Any]:
    """Return how quiet a core is, in a sentence too, and the file that stores its quiet level."""
    return {**asdict(noise), "sentence": noise.sentence, "file": str(level_file())}


def _peaks() -> dict[str, Any]:
    """Return the peaks of one thread, their age in seconds and the file that stores them."""
    peaks = machine_peaks(threads=1)
    return {**asdict(peaks), "age_s": peaks.age_s, "file": str(cache_file(1))}


def _print(facts: dict[str, Any]) -> None:
    out = console()
    processor, noise = facts["processor"], facts["noise"]
    out.print(f"processor    {processor['name']}, {processor['n_cores']} cores, {', '.join(processor['instructions'])}")
    dot_products = f"the processor has {'' if facts['int8_range'] == FULL else 'no '}int8 dot products"
    out.print(f"int8 weights {facts['int8_range']}: {dot_products}")
    out.print(f"memory       {facts['memory_mib']:,} MiB")
    out.print(f"system       {facts['system']}")
    why = f": {facts['journal_reason']}" if facts["journal_reason"] else ""
    out.print(f"sqlite       {facts['sqlite']}, journal {facts['journal_mode']}{why}")
    for name, found in facts["runtimes"].items():
        versions = ", ".join(f"{package} {v}" for package, v in found["versions"].items())
        out.print(f"runtime      {name}: {found['missing'] or versions}; {', '.join(found['quantizations'])}")
    for line in _peak_lines(facts["peaks"]):
        out.print(line)
    out.print(f"energy       {facts['energy']}")
    out.print(f"graphics     energy: {facts['graphics_energy']}")
    out.print(f"noise        {noise['sentence']}")
    out.print(f"             measured for {noise['seconds']:.0f} s; delete {noise['file']} when the machine changed")
    out.print(f"cache        {facts['cache']}")


def _peak_lines(peaks: dict[str, Any]) -> list[str]:
    if peaks["why"]:
        return [f"peaks        unknown: {peaks['why']}"]
    cache = f", {peaks['cache_gb_per_s']:.1f} from the cache" if peaks["cache_gb_per_s"] else ""
    return [
        f"peaks        one thread: float32 {peaks['float32_gflops']:.0f} GFLOP/s, "
        f"int8 {peaks['int8_gflops']:.0f} GFLOP/s, {peaks['memory_gb_per_s']:.1f} GB/s from memory{cache}",
        f"             measured {_age(peaks['age_s'])} ago; delete {peaks['file']} to measure again",
    ]


def _age(seconds: float) -> str:
    """Return the age in the largest unit of which there is at least one."""
    units = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
    name, unit = next((each for each in units if seconds >= each[1]), units[-1])
    n = int(seconds // unit)
    return f"{n} {name}{'' if n == 1 else 's'}"
