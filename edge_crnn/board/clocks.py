"""The clocks of the processor and of a Jetson's GPU, and the governors that set them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import cpu, tree

_KHZ = 1e-3  # in MHz
_HZ = 1e-6
_GPU = re.compile(r"gpu|ga10b|gv11b|gp10b|gb10b")


@dataclass(frozen=True)
class Core:
    """The clock of one core."""

    number: int
    mhz: float | None
    """Present clock."""
    limit_mhz: float | None
    """Highest clock that is allowed at present."""
    max_mhz: float | None
    """Highest clock of the hardware."""
    governor: str | None
    """Policy that sets the clock: ondemand, schedutil, performance …"""


@dataclass(frozen=True)
class Clocks:
    """The clocks at a moment."""

    cores: tuple[Core, ...]
    driver: str | None
    """Driver of cpufreq, on which the meaning of a governor's name depends."""
    gpu_mhz: float | None
    gpu_max_mhz: float | None

    @property
    def governors(self) -> tuple[str, ...]:
        """Distinct governors of the cores."""
        return tuple(dict.fromkeys(core.governor for core in self.cores if core.governor))


def clocks(root: Path = tree.ROOT) -> Clocks:
    """Return the present clocks."""
    policies = [
        (number, path)
        for path in tree.find(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq")
        if (number := tree.as_integer(path.parent.name[len("cpu") :])) is not None
    ]
    cores = tuple(_core(number, policy) for number, policy in policies)
    if not cores:
        cores = tuple(Core(number, mhz, None, None, None) for number, mhz in cpu.megahertz(root).items())
    gpu = next((device for device in tree.find(root, "sys/class/devfreq/*") if _GPU.search(device.name)), None)
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
