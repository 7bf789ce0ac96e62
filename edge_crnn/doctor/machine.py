"""Checks of the machine, based on its facts alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..board.board import Board
from ..board.clocks import Clocks
from ..board.heat import Throttling, Zone
from ..board.snapshot import Snapshot
from .check import Check

_LEAST_MEMORY = 200 << 20  # bytes: twice what reading takes
_BUILD_MEMORY = 12 << 30  # bytes; with less, a Jetson needs swap to build an engine
_HOT_C = 80.0
"""Limit for zones that report none: the soft limit of Raspberry Pis."""
_NEARLY_C = 5.0
_OLDEST_L4T = 36
_DYNAMIC_POWERSAVE = re.compile("intel_pstate|amd-pstate")
"""Drivers whose powersave follows the load; with all others, powersave is the lowest clock."""
_STEADY = ("powersave", "conservative", "userspace")
_SUPPLY = {
    "raspberry-pi": "use a 5 V supply with 5 A for a Pi 5, 3 A for a Pi 4, 2.5 A for a Pi 3, and a short, thick cable",
    "jetson": "use a stronger power supply, or a lower power mode: sudo nvpmodel -m ID",
}


def checks(board: Board, now: Snapshot) -> Iterator[Check]:
    """Yield the checks that apply to this machine, in the order in which they are shown."""
    yield _board(board)
    yield _processor(board)
    yield _system(board)
    if board.kind == "jetson":
        yield _jetpack(board)
    yield _memory(board, now)
    if board.kind == "jetson":
        yield _power_mode(board, now)
    if now.clocks.cores:
        yield _clocks(board, now.clocks)
    if now.hottest is not None:
        yield _temperature(now.zones)
    if now.throttling is not None or board.kind == "raspberry-pi":
        yield _throttling(board, now.throttling)
    yield from _power(now)


def _board(board: Board) -> Check:
    facts = [board.model or "unknown", board.soc, board.form]
    if board.virtual:
        facts.append(f"virtual machine ({board.virtual})")
    return Check("board", "ok", ", ".join(filter(None, facts)))


def _processor(board: Board) -> Check:
    cpu = board.cpu
    if cpu.cores is None:
        fix = "mount /proc, so that engines know which instructions they may use"
        return Check("processor", "warn", "unknown", fix)
    features = ", ".join(cpu.features)
    description = f"{cpu.cores} × {cpu.name or cpu.architecture or 'unknown'}"
    if features:
        description += f" with {features}"
    if cpu.cores_offline:
        description += f"; {cpu.cores_offline} more are offline"
    if cpu.architecture == "aarch64" and "dotprod" not in cpu.features:
        description += "; no dotprod, so int8 gains less"
    return Check("processor", "ok", description)


def _system(board: Board) -> Check:
    facts = [board.os or "unknown system", f"{board.python_bits}-bit"]
    if board.kernel:
        facts.append(f"kernel {board.kernel}")
    if board.page_bytes and board.page_bytes != 4096:
        facts.append(f"pages of {board.page_bytes >> 10} KiB")
    if board.container:
        facts.append(f"in a container ({board.container})")
    if board.cpu_limit is not None:
        facts.append(f"limited to {board.cpu_limit:g} cores")
    fix = None
    if board.python_bits == 32:
        fix = "install a 64-bit system: LiteRT has no wheels for 32 bits"
    elif board.os_id == "alpine":
        fix = "use a system with glibc, such as the image python:3.12-slim: LiteRT has no wheels for musl"
    return Check("system", "warn" if fix else "ok", ", ".join(facts), fix)


def _jetpack(board: Board) -> Check:
    if board.l4t is None:
        fix = None
        if board.container:
            fix = "docker run --runtime nvidia -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro …"
        return Check("jetpack", "warn" if fix else "absent", "no /etc/nv_tegra_release", fix)
    release = f"JetPack {board.jetpack or '?'} (L4T {board.l4t})"
    if not has_tensorrt(board):
        fix = "install JetPack 6 if the board supports it: the TensorRT of older ones needs a Python that is too old"
        return Check("jetpack", "warn", release, fix)
    return Check("jetpack", "ok", release)


def has_tensorrt(board: Board) -> bool:
    """Return whether this is a Jetson whose TensorRT supports our Pythons: JetPack 6 or later."""
    return board.kind == "jetson" and (board.l4t is None or int(board.l4t.partition(".")[0]) >= _OLDEST_L4T)


def _memory(board: Board, now: Snapshot) -> Check:
    if board.memory_bytes is None:
        return Check("memory", "absent", "unknown")
    available = now.memory_available_bytes
    swap = board.swap_bytes or 0
    facts = [_gib(board.memory_bytes)]
    if available is not None:
        facts.append(f"{_gib(available)} available")
    facts.append(f"swap {_gib(swap)}" if swap else "no swap")
    least = available
    if board.memory_limit_bytes is not None:
        facts.append(f"limited to {_gib(board.memory_limit_bytes)}")
        least = min(board.memory_limit_bytes, board.memory_limit_bytes if available is None else available)
    fix = None
    if least is not None and least < _LEAST_MEMORY:
        fix = f"close other programs or raise the limit: reading takes about {_LEAST_MEMORY >> 21} MiB"
    elif board.kind == "jetson" and not swap and board.memory_bytes < _BUILD_MEMORY:
        fix = "add swap, which building engines needs: sudo systemctl enable --now nvzramconfig"
    return Check("memory", "warn" if fix else "ok", ", ".join(facts), fix)


def _power_mode(board: Board, now: Snapshot) -> Check:
    mode = now.power_mode
    if mode is None:
        where = "unknown in a container" if board.container else "unknown: no /var/lib/nvpmodel/status"
        return Check("power mode", "absent", where)
    setting = f"{mode.name or 'unknown'} (mode {mode.number})"
    fastest = mode.fastest
    if fastest is None or mode.name == fastest:
        return Check("power mode", "ok", setting)
    fix = f"sudo nvpmodel -m {mode.modes[fastest]}  # {fastest}, if the power supply and cooling allow it"
    return Check("power mode", "warn", f"{setting}, slower than {fastest}", fix)


def _clocks(board: Board, clocks: Clocks) -> Check:
    first = clocks.cores[0]
    fix = None
    description = f"{' and '.join(clocks.governors) or 'no governor'}, {_speeds(clocks)}"
    capped = first.limit_mhz and first.max_mhz and first.limit_mhz < 0.99 * first.max_mhz
    slow = set(_STEADY) & set(clocks.governors)
    if _DYNAMIC_POWERSAVE.search(clocks.driver or ""):
        slow -= {"powersave"}
    if slow:
        fix = "echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    elif capped and board.kind != "jetson":  # a Jetson's power mode caps the clock
        description += f", limited to {_ghz(first.limit_mhz)}"
        fix = f"echo {1000 * (first.max_mhz or 0):.0f} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq"
    return Check("clocks", "warn" if fix else "ok", description, fix)


def _speeds(clocks: Clocks) -> str:
    speeds = sorted({core.mhz for core in clocks.cores if core.mhz is not None})
    now = " to ".join(map(_ghz, dict.fromkeys((speeds[0], speeds[-1])))) if speeds else "?"
    most = clocks.cores[0].max_mhz
    description = f"{now} of {_ghz(most)} GHz" if most else f"{now} GHz"
    if clocks.gpu_mhz is not None:
        description += f"; GPU {_ghz(clocks.gpu_mhz)} of {_ghz(clocks.gpu_max_mhz)} GHz"
    return description


def _temperature(zones: tuple[Zone, ...]) -> Check:
    """Check the zone that is nearest to its limit."""
    zone = max(zones, key=lambda zone: zone.celsius - (zone.slows_at or _HOT_C))
    limit = zone.slows_at or _HOT_C
    description = f"{zone.celsius:.0f} °C ({zone.name})"
    if zone.slows_at is not None:
        description += f", slows down at {zone.slows_at:.0f} °C"
    if zone.celsius < limit - (_NEARLY_C if zone.slows_at is not None else 0):
        return Check("temperature", "ok", description)
    return Check("temperature", "warn", description, "add a heat sink or a fan, and leave air around it")


def _throttling(board: Board, state: Throttling | None) -> Check:
    if state is None:
        if board.container:
            return Check("throttling", "absent", "the firmware cannot be queried in a container")
        fix = "sudo apt install raspi-utils && sudo usermod -aG video $USER, then log in again"
        return Check("throttling", "warn", "the firmware cannot be queried", fix)
    periods = []
    if state.now:
        periods.append(f"now: {', '.join(state.now)}")
    earlier = [reason for reason in state.occurred if reason not in state.now]
    if earlier:
        times = [f"{reason} ({state.counts[reason]} times)" if reason in state.counts else reason for reason in earlier]
        periods.append(f"{'since the start' if state.since_start else 'a moment ago'}: {', '.join(times)}")
    if not periods or (board.kind == "pc" and not state.now):  # a laptop is too hot now and then
        none = "none since the start" if state.since_start else "none now"
        return Check("throttling", "ok", "; ".join(periods) or none)
    electric = any(re.search("voltage|current", reason) for reason in (*state.now, *state.occurred))
    fixes = [_SUPPLY[board.kind]] if electric and board.kind in _SUPPLY else []
    if any(re.search("heat|hot|throttled|capped|temperature", reason) for reason in (*state.now, *state.occurred)):
        fixes.append("add a heat sink or a fan")
    return Check("throttling", "warn", "; ".join(periods), "; ".join(fixes) or None)


def _power(now: Snapshot) -> Iterator[Check]:
    if now.on_battery:
        yield Check("power", "warn", "on battery", "connect the power supply: on battery, clocks are lower")
    elif now.power is not None and now.power.watts is not None:
        yield Check("power", "ok", f"{now.power.watts:.1f} W, {now.power.source}")


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"


def _ghz(megahertz: float | None) -> str:
    return "?" if megahertz is None else f"{megahertz / 1000:.2f}"
