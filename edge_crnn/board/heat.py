"""Temperatures, and whether the machine slows down to protect itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import tree

_MILLI = 1e-3
_PLAUSIBLE_C = (-40.0, 150.0)
_FIXED = re.compile("pmic", re.I)
"""Zones of some Jetsons that always report 100 °C."""
_CPU_SENSORS = ("k10temp", "zenpower", "coretemp")
"""Sensors of processors that have no thermal zone."""

_BITS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
"""Bit n: now; bit n + 16: since the start. Source: Raspberry Pi documentation, vcgencmd, get_throttled."""
_OVERCURRENT = {"oc1": "under-voltage", "oc2": "average over-current", "oc3": "instantaneous over-current"}
"""Source: Jetson Linux Developer Guide, platform power and performance, over-current throttling."""
_COOLED = re.compile(r"(thermal-)?(cpufreq|devfreq)-|Processor$")
"""Cooling devices that lower a clock."""


@dataclass(frozen=True)
class Zone:
    """A temperature."""

    name: str
    celsius: float
    slows_at: float | None
    """Temperature at which the kernel slows the machine down, in °C; None: unknown."""


@dataclass(frozen=True)
class Throttling:
    """The reasons why the machine slows itself down."""

    now: tuple[str, ...]
    """Reasons that hold now."""
    occurred: tuple[str, ...]
    """Reasons that held earlier."""
    counts: dict[str, int]
    """Reason → number of times, where the machine counts them."""
    bits: int | None
    """Bits reported by the firmware of a Raspberry Pi."""
    since_start: bool = True
    """Whether `occurred` goes back to the start of the machine rather than only a few seconds."""


def zones(root: Path = tree.ROOT) -> tuple[Zone, ...]:
    """Return the present temperatures, without zones that are switched off."""
    readings = [_zone(path) for path in tree.find(root, "sys/class/thermal/thermal_zone*")]
    for sensor in tree.find(root, "sys/class/hwmon/hwmon*"):
        name = tree.text(sensor / "name")
        celsius = tree.scaled(sensor / "temp1_input", _MILLI)
        if name in _CPU_SENSORS and celsius is not None:
            readings.append(Zone(name, celsius, None))
    low, high = _PLAUSIBLE_C
    return tuple(zone for zone in readings if zone and low < zone.celsius < high and not _FIXED.search(zone.name))


def throttling(root: Path = tree.ROOT) -> Throttling | None:
    """Return why the machine slows itself down; None if it does not report this."""
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
    name = tree.text(path / "type")
    celsius = tree.scaled(path / "temp", _MILLI)
    if name is None or celsius is None:
        return None
    trips = (
        tree.scaled(trip_type.with_name(trip_type.name.removesuffix("type") + "temp"), _MILLI)
        for trip_type in tree.find(path, "trip_point_*_type")
        if tree.text(trip_type) == "passive"
    )
    return Zone(name, celsius, min((trip for trip in trips if trip and trip > 0), default=None))


def _firmware_bits(root: Path) -> tuple[int | None, bool]:
    """Return the bits of a Raspberry Pi's firmware, and whether the earlier reasons go back to the start.

    The kernel's own file is only the second choice, since the kernel queries and clears the bits every two seconds.
    Source: raspberrypi/linux, drivers/hwmon/raspberrypi-hwmon.c.
    """
    match = re.match(r"throttled=0x([0-9a-fA-F]{1,8})\s*$", tree.output(root, "vcgencmd", "get_throttled") or "")
    if match:
        return int(match[1], 16), True
    # Its place depends on the board and the kernel: soc/soc:firmware, soc@107c000000/soc@107c000000:firmware …
    for path in tree.find(root, "sys/devices/platform/*/*:firmware/get_throttled"):
        match = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,8})", tree.text(path) or "")
        if match:
            return int(match[1], 16), False
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
    """Return how often an x86 processor was too hot: the largest count of a core or the package."""
    counters = tree.find(root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    counts = [count for count in map(tree.integer, counters) if count is not None]
    return {"too hot": max(counts)} if counts else {}


def _capped(root: Path) -> tuple[str, ...] | None:
    """Return the clocks that the kernel lowers because of heat; None if no device can lower one."""
    devices = [
        (kind, tree.integer(path / "cur_state"))
        for path in tree.find(root, "sys/class/thermal/cooling_device*")
        if (kind := tree.text(path / "type")) and _COOLED.match(kind)
    ]
    if not devices:
        return None
    return tuple(dict.fromkeys(f"{kind} slowed because of heat" for kind, state in devices if state))
