"""How much memory this process holds, and how much of a GPU's is used."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_STATUS = Path("/proc/self/status")
_PATIENCE_S = 10


def rss_bytes() -> int | None:
    """Resident memory of this process; None where Linux does not tell. Source: proc(5), VmRSS."""
    try:
        found = re.search(r"^VmRSS:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.M)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None


def gpu_bytes() -> int | None:
    """Memory in use on all GPUs together, by whatever program; None without one that has memory of its own."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        told = subprocess.run(
            [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    mebibytes = re.findall(r"^\s*(\d+)\s*$", told, re.M)  # a Jetson, which has none, says [N/A]
    return sum(map(int, mebibytes)) << 20 if mebibytes else None
