"""How the machine is doing: the facts that change while it runs, to be taken before and after a measurement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from . import tree
from .board import meminfo
from .clocks import Clocks, clocks
from .heat import Throttling, Zone, throttling, zones
from .power import Power, PowerMode, power, power_mode


@dataclass(frozen=True)
class Snapshot:
    """A moment of the machine. `dataclasses.asdict` makes it JSON."""

    taken_at: str
    """UTC, ISO 8601."""
    clocks: Clocks
    zones: tuple[Zone, ...]
    """Temperatures."""
    throttling: Throttling | None
    """None: nothing tells."""
    power_mode: PowerMode | None
    """Power mode of a Jetson."""
    power: Power | None
    load: tuple[float, float, float] | None
    """Processes that ran or wanted to, on average over 1, 5 and 15 minutes."""
    memory_available_bytes: int | None
    swap_used_bytes: int | None
    on_battery: bool | None
    """None: there is no mains supply that would tell."""

    @property
    def hottest(self) -> Zone | None:
        """The warmest zone."""
        return max(self.zones, key=lambda zone: zone.celsius, default=None)


def snapshot(root: Path = tree.ROOT) -> Snapshot:
    """How the machine is doing now; takes some milliseconds, on a Raspberry Pi some tens."""
    memory = meminfo(root)
    swap = memory.get("SwapTotal")
    swap_free = memory.get("SwapFree")
    return Snapshot(
        taken_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        clocks=clocks(root),
        zones=zones(root),
        throttling=throttling(root),
        power_mode=power_mode(root),
        power=power(root),
        load=_load(root),
        memory_available_bytes=memory.get("MemAvailable"),
        swap_used_bytes=None if swap is None or swap_free is None else swap - swap_free,
        on_battery=_on_battery(root),
    )


def _load(root: Path) -> tuple[float, float, float] | None:
    found = re.match(
        r"([0-9]{1,6}\.[0-9]+) ([0-9]{1,6}\.[0-9]+) ([0-9]{1,6}\.[0-9]+) ", tree.text(root / "proc/loadavg") or ""
    )
    return (float(found[1]), float(found[2]), float(found[3])) if found else None


def _on_battery(root: Path) -> bool | None:
    supplies = tree.find(root, "sys/class/power_supply/*")
    mains = [tree.integer(each / "online") for each in supplies if tree.text(each / "type") == "Mains"]
    return None if not mains else not any(mains)
