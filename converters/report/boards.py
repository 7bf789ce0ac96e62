"""Groups the records that may be compared: those of one machine with the same versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_crnn.records.record import Record

_MOST_SHOWN = 3
"""Largest number of facts that a title names."""


@dataclass
class Group:
    """Records of one machine."""

    board: str
    facts: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    title: str = ""
    """The board's name, and the facts that tell it from other groups of that name."""

    def takes(self, record: Record) -> bool:
        """Return whether the record is of the same board and contradicts no fact of the group."""
        return self.board == record.board_name and not _differing(self.facts, record.facts)


def grouped(records: Sequence[Record]) -> list[Group]:
    """Group the records by machine, in order; a record that differs in any fact or version starts another group."""
    groups: list[Group] = []
    for record in records:
        group = next((group for group in groups if group.takes(record)), None)
        if group is None:
            group = Group(record.board_name)
            groups.append(group)
        group.facts.update(record.facts)
        group.records.append(record)
    for group in groups:
        namesakes = [other for other in groups if other.board == group.board and other is not group]
        telling = dict.fromkeys(name for other in namesakes for name in _differing(group.facts, other.facts))
        shown = ", ".join(f"{name} {group.facts[name]}" for name in list(telling)[:_MOST_SHOWN])
        group.title = f"{group.board} ({shown})" if shown else group.board
    return groups


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    return [name for name, value in first.items() if second.get(name, value) != value]
