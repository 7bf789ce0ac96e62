"""What the machine takes, in watts or joules, and what it may take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import tree

_MILLI, _MICRO = 1e-3, 1e-6
_MONITORS = {"ina3221": 3, "ina238": 1}
"""Chip → its channels. Jetsons have the first; Thor has the second as well, on its input."""
_INPUTS = ("VDD_IN", "VIN", "ina238")
"""Rails that all others hang on."""
_FASTEST = ("MAXN_SUPER", "MAXN")
_PACKAGES = re.compile(r"psys|package-[0-9]+")


@dataclass(frozen=True)
class PowerMode:
    """What nvpmodel is set to on a Jetson."""

    number: int
    name: str | None
    """15W, MAXN …; the same number means another mode on another board, the same name does not."""
    modes: dict[str, int]
    """All that this board has: name → number."""

    @property
    def fastest(self) -> str | None:
        """The mode without a limit, if the board has one."""
        return next((name for name in _FASTEST if name in self.modes), None)


@dataclass(frozen=True)
class Counter:
    """Energy that a meter has counted since some time."""

    name: str
    joules: float
    wraps_at: float | None
    """Joules at which it starts from 0 again."""


@dataclass(frozen=True)
class Power:
    """What sensors tell. Either watts of the moment, or counters: then the difference of two is what was taken."""

    watts: float | None
    source: str
    """Where `watts` or `counters` come from, and what they leave out."""
    rails: dict[str, float]
    """Watts of each."""
    counters: tuple[Counter, ...]


def power_mode(root: Path = tree.ROOT) -> PowerMode | None:
    """The power mode of a Jetson, read without root's rights; None elsewhere."""
    modes = tree.text(root / "etc/nvpmodel.conf") or ""
    names = re.findall(r"<\s*POWER_MODEL\s+ID\s*=\s*([0-9]{1,4})\s+NAME\s*=\s*([^\s>]+)", modes)
    status = re.search(r"pmode:\s*([0-9]{1,4})", tree.text(root / "var/lib/nvpmodel/status") or "")
    default = re.search(r"<\s*PM_CONFIG\s+DEFAULT\s*=\s*([0-9]{1,4})", modes)
    chosen = status or default  # until one is chosen, the default holds
    if chosen is None:
        return None
    by_number = {int(number): name for number, name in names}
    number = int(chosen[1])
    return PowerMode(number, by_number.get(number), {name: number for number, name in by_number.items()})


def power(root: Path = tree.ROOT) -> Power | None:
    """What sensors tell now; None where there are none, or none that may be read."""
    return _monitors(root) or _pmic(root) or _rapl(root)


def joules(before: Power, after: Power) -> float | None:
    """What counters counted in between, each wrapped once at most; None without counters, or with others."""
    if not before.counters or [each.name for each in before.counters] != [each.name for each in after.counters]:
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
    """INA monitors, as Jetsons have them."""
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
    return Power(sum(rails.values()), f"sum of {len(rails)} rails: the board around them is not in it", rails, ())


def _pmic(root: Path) -> Power | None:
    """The power chip of a Raspberry Pi 5, which tells current and voltage of each rail."""
    told = tree.output(root, "vcgencmd", "pmic_read_adc") or ""
    values = {
        (name, unit): float(value)
        for name, unit, value in re.findall(
            r"(\S+)_([AV]) (?:current|volt)\([0-9]+\)=([0-9]{1,4}\.[0-9]{1,9})[AV]", told
        )
    }
    rails = {
        name: values[name, "A"] * values[name, "V"] for name, unit in values if unit == "A" and (name, "V") in values
    }
    if not rails:
        return None
    source = f"sum of {len(rails)} rails of the power chip: what hangs on the 5 V input is not in it"
    return Power(sum(rails.values()), source, rails, ())


def _rapl(root: Path) -> Power | None:
    """Energy counters of x86 processors; kernels let root alone read them."""
    counters = []
    for folder in tree.find(root, "sys/class/powercap/intel-rapl:[0-9]*"):
        name, count = tree.text(folder / "name"), tree.scaled(folder / "energy_uj", _MICRO)
        if name is not None and count is not None and _PACKAGES.fullmatch(name):
            counters.append(Counter(name, count, tree.scaled(folder / "max_energy_range_uj", _MICRO)))
    whole = [each for each in counters if each.name == "psys"] or counters
    if not whole:
        return None
    source = (
        "the whole platform (RAPL)"
        if whole[0].name == "psys"
        else "processor packages (RAPL): memory, board and graphics cards are not in it"
    )
    return Power(None, source, {}, tuple(whole))
