"""The memory of this machine, the memory that this process uses, and the memory in use on GPUs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from . import tree

_STATUS = Path("/proc/self/status")
_PATIENCE_S = 10


def meminfo(root: Path) -> dict[str, int]:
    """Return the sizes in /proc/meminfo, in bytes."""
    sizes = re.findall(r"^([A-Za-z_()]+):[ ]+([0-9]{1,15}) kB$", tree.text(root / "proc/meminfo") or "", re.M)
    return {name: int(count) << 10 for name, count in sizes}


def rss_bytes() -> int | None:
    """Return the resident memory of this process; None if Linux does not report it. Source: proc(5), VmRSS."""
    try:
        match = re.search(r"^VmRSS:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.M)
    except OSError:
        return None
    return int(match[1]) << 10 if match else None


def gpu_bytes() -> int | None:
    """Return the memory that all programs use on all GPUs; None without a GPU that has its own memory."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        output = subprocess.run(
            [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    mebibytes = re.findall(r"^\s*(\d+)\s*$", output, re.M)  # [N/A] on a Jetson, whose GPU has no memory of its own
    return sum(map(int, mebibytes)) << 20 if mebibytes else None
