"""The facts that this machine does not provide, and why: a record names each missing figure."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..board import tree
from ..board.board import Board
from ..board.snapshot import Snapshot
from ..records.bench import Opened

_COUNTERS = "sys/class/powercap/intel-rapl:[0-9]*"


def absent(
    board: Board, snapshot: Snapshot, artifacts: Sequence[Opened] = (), root: Path = tree.ROOT
) -> dict[str, str]:
    """Return the facts that are missing, each with its reason in words.

    Args:
        board: the machine.
        snapshot: its present state.
        artifacts: the opened artifacts.
        root: the root of the machine's files.
    """
    return dict(_absent(board, snapshot, artifacts, root))


def _absent(board: Board, snapshot: Snapshot, artifacts: Sequence[Opened], root: Path) -> Iterator[tuple[str, str]]:
    jetson = board.kind == "jetson"
    clocks = snapshot.clocks
    if all(core.mhz is None for core in clocks.cores):
        yield "clocks", "neither cpufreq nor /proc/cpuinfo lists them"
    if not clocks.governors:
        yield "governor", "no cpufreq: the host of this virtual machine or the firmware sets the clocks"
    if clocks.gpu_mhz is None:
        yield "clock of a GPU", "its devfreq cannot be read" if jetson else "read on a Jetson only"
    if snapshot.power_mode is None:
        files = "neither /etc/nvpmodel.conf nor /var/lib/nvpmodel/status can be read, as in a container without them"
        yield "power mode", files if jetson else "only a Jetson has nvpmodel"
    if not snapshot.zones:
        yield "temperature", "no thermal zone and no processor sensor, as in most virtual machines"
    if snapshot.throttling is None:
        bits = "neither vcgencmd nor the kernel's get_throttled answers: add the user to the group video"
        counts = "no throttle counters and no cooling device, as in most virtual machines"
        yield "throttling", bits if board.kind == "raspberry-pi" else counts
    if snapshot.power is None:
        yield "power", f"{_no_power(board, root)}; so no joules per image"
    if all(artifact.gpu_bytes is None for artifact in artifacts):
        yield "memory of a GPU", _no_gpu_memory(jetson)


def _no_power(board: Board, root: Path) -> str:
    if board.kind == "jetson":
        return "neither an INA3221 nor an INA238 can be read; in a container, mount /sys"
    if board.kind == "raspberry-pi":
        return "vcgencmd pmic_read_adc shows nothing: only a Raspberry Pi 5 measures its power"
    if tree.find(root, _COUNTERS):
        return (
            "only root can read the RAPL counters, because they leak secrets of other programs; on a machine without"
            " other users, run: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    return "no RAPL counters, as in most virtual machines"


def _no_gpu_memory(jetson: bool) -> str:
    if jetson:
        return "a Jetson's GPU shares the memory of the board"
    if shutil.which("nvidia-smi") is None:
        return "no nvidia-smi: no NVIDIA GPU, or no driver"
    return "nvidia-smi shows no memory"
