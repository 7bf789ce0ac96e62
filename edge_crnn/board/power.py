"""The power that the machine draws, in watts or joules, and its power mode."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import tree

_MILLI = 1e-3
_MICRO = 1e-6
_MONITORS = {"ina3221": 3, "ina238": 1}
"""Chip → number of channels. Jetsons have the first; Thor also has the second, on its input."""
_INPUTS = ("VDD_IN", "VIN", "ina238")
"""Rails that supply all others."""
_FASTEST = ("MAXN_SUPER", "MAXN")
_PACKAGES = re.compile(r"psys|package-[0-9]+")


@dataclass(frozen=True)
class PowerMode:
    """The nvpmodel setting of a Jetson."""

    number: int
    name: str | None
    """15W, MAXN …; unlike the number, the name means the same on every board."""
    modes: dict[str, int]
    """Modes of this board: name → number."""

    @property
    def fastest(self) -> str | None:
        """Name of the mode without a limit; None if the board has none."""
        return next((name for name in _FASTEST if name in self.modes), None)


@dataclass(frozen=True)
class Counter:
    """The energy that a meter has counted since an unknown time."""

    name: str
    joules: float
    wraps_at: float | None
    """Joules at which it starts again from 0."""


@dataclass(frozen=True)
class Power:
    """The reading of power sensors: either the present watts, or counters whose difference is the energy used."""

    watts: float | None
    source: str
    """Origin of `watts` or `counters`, and what they leave out."""
    rails: dict[str, float]
    """Rail → watts."""
    counters: tuple[Counter, ...]


def power_mode(root: Path = tree.ROOT) -> PowerMode | None:
    """Return the power mode of a Jetson, which needs no root rights; None elsewhere."""
    modes = tree.text(root / "etc/nvpmodel.conf") or ""
    names = re.findall(r"<\s*POWER_MODEL\s+ID\s*=\s*([0-9]{1,4})\s+NAME\s*=\s*([^\s>]+)", modes)
    status = re.search(r"pmode:\s*([0-9]{1,4})", tree.text(root / "var/lib/nvpmodel/status") or "")
    default = re.search(r"<\s*PM_CONFIG\s+DEFAULT\s*=\s*([0-9]{1,4})", modes)
    chosen = status or default  # the default applies until a mode is chosen
    if chosen is None:
        return None
    by_number = {int(number): name for number, name in names}
    number = int(chosen[1])
    return PowerMode(number, by_number.get(number), {name: number for number, name in by_number.items()})


def power(root: Path = tree.ROOT) -> Power | None:
    """Read the power sensors; None if there is none that this process may read."""
    return _monitors(root) or _pmic(root) or _rapl(root)


def joules(before: Power, after: Power) -> float | None:
    """Return the energy used between two readings, during which a counter wraps at most once.

    Returns:
        None if there are no counters, or not the same ones.
    """
    names = [counter.name for counter in before.counters]
    if not names or names != [counter.name for counter in after.counters]:
        return None
    total = 0.0
    for first, last in zip(before.counters, after.counters, strict=True):
        taken = last.joules - first.joules
        if taken < 0:
            if last.wraps_at is None:
                return None
            taken += last.wraps_at
        total += taken
    return total


def _monitors(root: Path) -> Power | None:
    """Read the INA monitors of a Jetson."""
    rails: dict[str, float] = {}
    for folder in tree.find(root, "sys/class/hwmon/hwmon*"):
        monitor = tree.text(folder / "name")
        for channel in range(1, _MONITORS.get(monitor or "", 0) + 1):
            volts = tree.scaled(folder / f"in{channel}_input", _MILLI)
            amperes = tree.scaled(folder / f"curr{channel}_input", _MILLI)
            label = tree.text(folder / f"in{channel}_label") or tree.text(folder / "label") or monitor
            if volts is not None and amperes is not None and label and label != "NC":
                rails[label] = volts * amperes
    if not rails:
        return None
    whole = next((name for name in _INPUTS if name in rails), None)
    if whole is not None:
        return Power(rails[whole], f"rail {whole}", rails, ())
    return Power(sum(rails.values()), f"sum of {len(rails)} rails, without the rest of the board", rails, ())


def _pmic(root: Path) -> Power | None:
    """Read the power chip of a Raspberry Pi 5, which reports the current and voltage of each rail."""
    output = tree.output(root, "vcgencmd", "pmic_read_adc") or ""
    values = {
        (name, unit): float(value)
        for name, unit, value in re.findall(
            r"(\S+)_([AV]) (?:current|volt)\([0-9]+\)=([0-9]{1,4}\.[0-9]{1,9})[AV]", output
        )
    }
    rails = {
        name: values[name, "A"] * values[name, "V"] for name, unit in values if unit == "A" and (name, "V") in values
    }
    if not rails:
        return None
    source = f"sum of {len(rails)} rails of the power chip, without devices on the 5 V input"
    return Power(sum(rails.values()), source, rails, ())


def _rapl(root: Path) -> Power | None:
    """Read the energy counters of x86 processors, which kernels let only root read."""
    counters = []
    for folder in tree.find(root, "sys/class/powercap/intel-rapl:[0-9]*"):
        name = tree.text(folder / "name")
        count = tree.scaled(folder / "energy_uj", _MICRO)
        if name is not None and count is not None and _PACKAGES.fullmatch(name):
            counters.append(Counter(name, count, tree.scaled(folder / "max_energy_range_uj", _MICRO)))
    whole = [counter for counter in counters if counter.name == "psys"] or counters
    if not whole:
        return None
    if whole[0].name == "psys":
        source = "the whole platform (RAPL)"
    else:
        source = "processor packages (RAPL), without memory, board and graphics cards"
    return Power(None, source, {}, tuple(whole))
