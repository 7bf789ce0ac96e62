"""How hot it is, and whether the machine slows down to protect itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import tree

_MILLI = 1e-3
_PLAUSIBLE_C = (-40.0, 150.0)
_FIXED = re.compile("pmic", re.I)
"""Zones of some Jetsons that always tell 100 °C."""
_CPU_SENSORS = ("k10temp", "zenpower", "coretemp")
"""Sensors of processors that have no thermal zone."""

_BITS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
"""Bit n: now; bit n + 16: since the start. Source: Raspberry Pi documentation, vcgencmd, get_throttled."""
_OVERCURRENT = {"oc1": "under-voltage", "oc2": "average over-current", "oc3": "instantaneous over-current"}
"""Source: Jetson Linux Developer Guide, platform power and performance, over-current throttling."""
_COOLED = re.compile(r"(thermal-)?(cpufreq|devfreq)-|Processor$")
"""Cooling devices that cool by a slower clock."""


@dataclass(frozen=True)
class Zone:
    """A temperature."""

    name: str
    celsius: float
    slows_at: float | None
    """From where on the kernel slows the machine down, in °C."""


@dataclass(frozen=True)
class Throttling:
    """Whether the machine slowed itself down."""

    now: tuple[str, ...]
    """Reasons that hold now."""
    occurred: tuple[str, ...]
    """Reasons that held earlier."""
    counts: dict[str, int]
    """How often, where that is counted."""
    bits: int | None
    """As a Raspberry Pi's firmware gives them."""
    since_start: bool = True
    """Whether `occurred` goes back to the start of the machine; else some seconds."""


def zones(root: Path = tree.ROOT) -> tuple[Zone, ...]:
    """Temperatures now; a zone that is switched off tells none."""
    found = [_zone(path) for path in tree.find(root, "sys/class/thermal/thermal_zone*")]
    for sensor in tree.find(root, "sys/class/hwmon/hwmon*"):
        name, celsius = tree.text(sensor / "name"), tree.scaled(sensor / "temp1_input", _MILLI)
        if name in _CPU_SENSORS and celsius is not None:
            found.append(Zone(name, celsius, None))
    low, high = _PLAUSIBLE_C
    return tuple(zone for zone in found if zone and low < zone.celsius < high and not _FIXED.search(zone.name))


def throttling(root: Path = tree.ROOT) -> Throttling | None:
    """Whether the machine slowed itself down; None where nothing tells."""
    bits, since_start = _firmware_bits(root)
    counts = {**_overcurrent(root), **_hot_events(root)}
    capped = _capped(root)
    if bits is None and not counts and capped is None:
        return None
    reasons = [(word, (bits or 0) >> place) for place, word in enumerate(_BITS)]
    return Throttling(
        now=(*(word for word, mask in reasons if mask & 1), *(capped or ())),
        occurred=(*(word for word, mask in reasons if mask >> 16 & 1), *(word for word, n in counts.items() if n > 0)),
        counts=counts,
        bits=bits,
        since_start=since_start,
    )


def _zone(path: Path) -> Zone | None:
    name, celsius = tree.text(path / "type"), tree.scaled(path / "temp", _MILLI)
    if name is None or celsius is None:
        return None
    trips = (
        tree.scaled(each.with_name(each.name.removesuffix("type") + "temp"), _MILLI)
        for each in tree.find(path, "trip_point_*_type")
        if tree.text(each) == "passive"
    )
    return Zone(name, celsius, min((trip for trip in trips if trip and trip > 0), default=None))


def _firmware_bits(root: Path) -> tuple[int | None, bool]:
    """Bits of a Raspberry Pi's firmware, and whether those of earlier go back to the start.

    The kernel's own file comes second: the kernel asks every two seconds, and clears them for itself.
    Source: raspberrypi/linux, drivers/hwmon/raspberrypi-hwmon.c.
    """
    found = re.match(r"throttled=0x([0-9a-fA-F]{1,8})\s*$", tree.output(root, "vcgencmd", "get_throttled") or "")
    if found:
        return int(found[1], 16), True
    # Where it is depends on the board and the kernel: soc/soc:firmware, soc@107c000000/soc@107c000000:firmware …
    for path in tree.find(root, "sys/devices/platform/*/*:firmware/get_throttled"):
        found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,8})", tree.text(path) or "")
        if found:
            return int(found[1], 16), False
    return None, True


def _overcurrent(root: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for path in tree.find(root, "sys/class/hwmon/hwmon*/oc[0-9]_event_cnt"):
        count = tree.integer(path)
        if count is not None:
            name = path.name.partition("_")[0]
            counts[_OVERCURRENT.get(name, name)] = count
    return counts


def _hot_events(root: Path) -> dict[str, int]:
    """Throttling of x86 processors: the core that was too hot most often, or the package."""
    found = tree.find(root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    counts = [count for count in map(tree.integer, found) if count is not None]
    return {"too hot": max(counts)} if counts else {}


def _capped(root: Path) -> tuple[str, ...] | None:
    """Clocks that the kernel holds down for the heat; None where it holds none."""
    devices = [
        (kind, tree.integer(path / "cur_state"))
        for path in tree.find(root, "sys/class/thermal/cooling_device*")
        if (kind := tree.text(path / "type")) and _COOLED.match(kind)
    ]
    if not devices:
        return None
    return tuple(dict.fromkeys(f"{kind} slowed for the heat" for kind, state in devices if state))
