"""The state of the machine, which changes while it runs: taken before and after a measurement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from . import tree
from .clocks import Clocks, clocks
from .heat import Throttling, Zone, throttling, zones
from .memory import meminfo
from .power import Power, PowerMode, power, power_mode


@dataclass(frozen=True)
class Snapshot:
    """The state of the machine at a moment. `dataclasses.asdict` turns it into JSON."""

    taken_at: str
    """UTC, ISO 8601."""
    clocks: Clocks
    zones: tuple[Zone, ...]
    """Temperatures."""
    throttling: Throttling | None
    """None: the machine does not report it."""
    power_mode: PowerMode | None
    """Power mode of a Jetson."""
    power: Power | None
    load: tuple[float, float, float] | None
    """Average number of processes that ran or waited to run, over 1, 5 and 15 minutes."""
    memory_available_bytes: int | None
    swap_used_bytes: int | None
    on_battery: bool | None
    """None: unknown, since no mains supply is listed."""

    @property
    def hottest(self) -> Zone | None:
        """Warmest zone; None without zones."""
        return max(self.zones, key=lambda zone: zone.celsius, default=None)


def snapshot(root: Path = tree.ROOT) -> Snapshot:
    """Return the present state of the machine; takes some milliseconds, and tens of them on a Raspberry Pi."""
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
    match = re.match(
        r"([0-9]{1,6}\.[0-9]+) ([0-9]{1,6}\.[0-9]+) ([0-9]{1,6}\.[0-9]+) ", tree.text(root / "proc/loadavg") or ""
    )
    return (float(match[1]), float(match[2]), float(match[3])) if match else None


def _on_battery(root: Path) -> bool | None:
    supplies = tree.find(root, "sys/class/power_supply/*")
    mains = [tree.integer(supply / "online") for supply in supplies if tree.text(supply / "type") == "Mains"]
    return None if not mains else not any(mains)
