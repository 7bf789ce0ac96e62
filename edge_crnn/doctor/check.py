"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warn", "fail", "absent"]
"""fail: reading does not work. warn: reading works, but this machine could do better. absent: not installed, and not
needed on this machine."""


@dataclass(frozen=True)
class Check:
    """A line of `edge-crnn doctor`."""

    name: str
    status: Status
    found: str
    fix: str | None = None
    """Command to type, or what else to do; None if nothing is to be done."""
