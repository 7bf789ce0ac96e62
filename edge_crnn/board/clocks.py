"""How fast the processor and a Jetson's GPU are clocked, and who decides it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import cpu, tree

_KHZ, _HZ = 1e-3, 1e-6  # in MHz
_GPU = re.compile(r"gpu|ga10b|gv11b|gp10b|gb10b")


@dataclass(frozen=True)
class Core:
    """The clock of one core."""

    number: int
    mhz: float | None
    """Now."""
    limit_mhz: float | None
    """As fast as it may be clocked now."""
    max_mhz: float | None
    """As fast as it could be clocked."""
    governor: str | None
    """Who decides: ondemand, schedutil, performance …"""


@dataclass(frozen=True)
class Clocks:
    """Clocks of a moment."""

    cores: tuple[Core, ...]
    driver: str | None
    """Driver of cpufreq: what a governor's name means depends on it."""
    gpu_mhz: float | None
    gpu_max_mhz: float | None

    @property
    def governors(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(core.governor for core in self.cores if core.governor))


def clocks(root: Path = tree.ROOT) -> Clocks:
    """Clocks now."""
    policies = [
        (number, path)
        for path in tree.find(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq")
        if (number := tree.as_integer(path.parent.name[len("cpu") :])) is not None
    ]
    cores = tuple(_core(number, policy) for number, policy in policies)
    if not cores:
        cores = tuple(Core(number, mhz, None, None, None) for number, mhz in cpu.megahertz(root).items())
    gpu = next((each for each in tree.find(root, "sys/class/devfreq/*") if _GPU.search(each.name)), None)
    return Clocks(
        cores=cores,
        driver=next((tree.text(policy / "scaling_driver") for _, policy in policies), None),
        gpu_mhz=None if gpu is None else tree.scaled(gpu / "cur_freq", _HZ),
        gpu_max_mhz=None if gpu is None else tree.scaled(gpu / "max_freq", _HZ),
    )


def _core(number: int, policy: Path) -> Core:
    return Core(
        number=number,
        mhz=tree.scaled(policy / "scaling_cur_freq", _KHZ),
        limit_mhz=tree.scaled(policy / "scaling_max_freq", _KHZ),
        max_mhz=tree.scaled(policy / "cpuinfo_max_freq", _KHZ),
        governor=tree.text(policy / "scaling_governor"),
    )
