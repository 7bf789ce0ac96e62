"""`python -m benchmarks.triton.sizing`: how many cores and machines a number of cameras or crops takes.

The tables follow from the figures in `measured.json` and from `Assumptions`; docs/triton.md has them, and a test
compares. Processor time per crop is used, not crops a second, because other programs worked on the measured machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).with_name("measured.json")
CAMERAS = (1, 10, 100, 1_000, 10_000)
CROPS = (10**6, 10**7, 10**8, 10**9)


@dataclass(frozen=True)
class Assumptions:
    """What nobody has measured here."""

    crops_s: float = 2.0
    """Crops that a camera sends a second at the busiest time."""
    load: float = 0.6
    """Share of a core's time that is used at the busiest time, so that queues stay short."""
    cores: int = 16
    """Cores of a machine, as fast as the measured one."""


@dataclass(frozen=True)
class Measured:
    """The figures of `measured.json` that the tables need."""

    server_s: float
    """Processor time of the server per crop, with 32 clients, in seconds."""
    reader_s: float
    """Processor time of one reader in a process per crop, in seconds."""
    crop_bytes: float

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Measured:
        """Take the figures from the content of the file."""
        return cls(
            figures["32 clients"]["processor ms per image"] / 1e3,
            figures["one reader"]["processor ms per image"] / 1e3,
            figures["bytes per image"],
        )


def online(measured: Measured, assumed: Assumptions) -> list[str]:
    """Return the table for cameras: crops a second, network, cores = crops a second × time per crop / load."""
    lines = ["| cameras | crops a second | Mbit/s | cores | machines |", "|---:|---:|---:|---:|---:|"]
    for cameras in CAMERAS:
        crops = cameras * assumed.crops_s
        cores = math.ceil(crops * measured.server_s / assumed.load)
        network = 8e-6 * crops * measured.crop_bytes
        lines.append(
            f"| {cameras:,} | {crops:,.0f} | {network:,.1f} | {cores:,} | {math.ceil(cores / assumed.cores):,} |"
        )
    return lines


def offline(measured: Measured, assumed: Assumptions) -> list[str]:
    """Return the table for archives: core hours = crops × time per crop; a machine works with all cores."""
    lines = ["| crops | GB | core hours | hours on 1 machine | hours on 16 machines |", "|---:|---:|---:|---:|---:|"]
    for crops in CROPS:
        hours = crops * measured.reader_s / 3600
        machine = hours / assumed.cores
        size = 1e-9 * crops * measured.crop_bytes
        lines.append(f"| {crops:,} | {size:,.0f} | {hours:,.0f} | {machine:,.1f} | {machine / 16:,.2f} |")
    return lines


def load() -> Measured:
    """Return the committed figures."""
    return Measured.of(json.loads(MEASURED.read_text(encoding="utf-8")))


def main() -> None:
    """Print both tables."""
    measured, assumed = load(), Assumptions()
    print(
        f"{1e3 * measured.server_s:.1f} ms of a core per crop on a server, {1e3 * measured.reader_s:.1f} in a process"
    )
    print("\n".join([*online(measured, assumed), "", *offline(measured, assumed)]))


if __name__ == "__main__":
    main()
