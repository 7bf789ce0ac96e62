"""Which records may stand side by side: those of one machine, with the same versions at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .records import Record

_SHOWN = 3


@dataclass
class Group:
    """Records of one machine."""

    board: str
    facts: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    title: str = ""
    """The board's name, and what tells it from others of that name."""

    def takes(self, record: Record) -> bool:
        """Whether no fact that both tell differs."""
        return self.board == record.board and not _differing(self.facts, record.facts)


def grouped(records: Sequence[Record]) -> list[Group]:
    """The records by machine, in their order; one that differs in any fact, a version too, starts another group."""
    groups: list[Group] = []
    for record in records:
        group = next((each for each in groups if each.takes(record)), None)
        if group is None:
            group = Group(record.board)
            groups.append(group)
        group.facts.update(record.facts)
        group.records.append(record)
    for group in groups:
        namesakes = [each for each in groups if each.board == group.board and each is not group]
        telling = list(dict.fromkeys(name for each in namesakes for name in _differing(group.facts, each.facts)))
        told = ", ".join(f"{name} {group.facts[name]}" for name in telling[:_SHOWN])
        group.title = f"{group.board} ({told})" if told else group.board
    return groups


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    return [name for name, value in first.items() if second.get(name, value) != value]
