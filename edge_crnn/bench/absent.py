"""What this machine does not tell, and why: a figure that is missing from a record is named, not left out silently."""

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
    """What is missing → why; a sentence for a person.

    Args:
        board: what the machine is.
        snapshot: how it is doing.
        artifacts: as they were opened.
        root: where its files are.
    """
    return dict(_absent(board, snapshot, artifacts, root))


def _absent(board: Board, snapshot: Snapshot, artifacts: Sequence[Opened], root: Path) -> Iterator[tuple[str, str]]:
    jetson, pi = board.kind == "jetson", board.kind == "raspberry-pi"
    clocks = snapshot.clocks
    if all(core.mhz is None for core in clocks.cores):
        yield "clocks", "neither cpufreq nor /proc/cpuinfo tells them"
    if not clocks.governors:
        yield "governor", "no cpufreq: whoever runs this virtual machine, or its firmware, sets the clocks"
    if clocks.gpu_mhz is None:
        yield "clock of a GPU", "its devfreq cannot be read" if jetson else "read on a Jetson alone"
    if snapshot.power_mode is None:
        files = "neither /etc/nvpmodel.conf nor /var/lib/nvpmodel/status can be read, as in a container without them"
        yield "power mode", files if jetson else "nvpmodel is on a Jetson alone"
    if not snapshot.zones:
        yield "temperature", "no thermal zone and no sensor of the processor, as in most virtual machines"
    if snapshot.throttling is None:
        bits = "neither vcgencmd nor the kernel's get_throttled answers: put the user into the group video"
        counts = "no count of the processor's, no cooling device that slows it down, as in most virtual machines"
        yield "throttling", bits if pi else counts
    if snapshot.power is None:
        yield "power", f"{_no_power(board, root)}; so no joules an image"
    if all(artifact.gpu_bytes is None for artifact in artifacts):
        yield "memory of a GPU", _no_gpu_memory(jetson)


def _no_power(board: Board, root: Path) -> str:
    if board.kind == "jetson":
        return "no INA3221 and no INA238 can be read, which tegrastats reads too; in a container, mount /sys"
    if board.kind == "raspberry-pi":
        return "vcgencmd pmic_read_adc tells nothing: only a Raspberry Pi 5 has a power chip that does"
    if tree.find(root, _COUNTERS):
        return (
            "RAPL's counters are for root alone, since they betray other programs' secrets; on a machine without other"
            " users: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    return "no RAPL counters, as in most virtual machines"


def _no_gpu_memory(jetson: bool) -> str:
    if jetson:
        return "a Jetson's GPU shares the board's: see what is available of it"
    if shutil.which("nvidia-smi") is None:
        return "no nvidia-smi here: no NVIDIA GPU, or no driver of it"
    return "nvidia-smi tells of no memory"
