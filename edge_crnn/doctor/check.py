"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warn", "fail", "absent"]
"""fail: reading does not work. warn: it does, and something is not as this machine could have it. absent: not there,
and nothing that this machine would want."""


@dataclass(frozen=True)
class Check:
    """One line of `edge-crnn doctor`."""

    name: str
    status: Status
    found: str
    fix: str | None = None
    """What to type or to do; None where nothing is to be done."""
