"""Parsed JSON → frozen dataclasses, every field checked against its type hint."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from ..errors import EdgeCrnnError

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""A surrogate: JSON can spell one alone, UTF-8 cannot."""

_T = TypeVar("_T")


def build(cls: type[_T], data: object, where: str, error: type[EdgeCrnnError], *, open_ended: bool = False) -> _T:
    """A dataclass from parsed JSON.

    Args:
        cls: its fields are str, int, float, bool, Literal, tuple, Mapping, dataclasses, None, or unions of them.
        data: what `json.loads` gave.
        where: what to call it in a message.
        error: what is raised.
        open_ended: fields that `cls` does not have are passed over, not refused.

    Raises:
        error: a field is missing, unknown or of another type.
    """
    return _Builder(error, open_ended).build(cls, data, where)


def check(hint: Any, data: object, where: str, error: type[EdgeCrnnError]) -> None:
    """Make sure that parsed JSON fits a type hint; arguments as of `build`.

    Raises:
        error: it does not.
    """
    _Builder(error, open_ended=False).value(hint, data, where)


@dataclasses.dataclass(frozen=True)
class _Builder:
    error: type[EdgeCrnnError]
    open_ended: bool

    def build(self, cls: type[_T], data: object, where: str) -> _T:
        if not isinstance(data, dict):
            raise self.error(f"{where}: found {type(data).__name__}, expected an object")
        hints = typing.get_type_hints(cls)
        fields = {each.name: each for each in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if (unknown := data.keys() - fields.keys()) and not self.open_ended:
            raise self.error(f"{where}: unknown field {min(unknown)!r}; known are {', '.join(fields)}")
        values = {}
        for name, each in fields.items():
            if name in data:
                values[name] = self.value(hints[name], data[name], f"{where}: {name}")
            elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                if type(None) in typing.get_args(hints[name]):
                    values[name] = None
                    continue
                raise self.error(f"{where}: field {name!r} is missing; add it")
        try:
            return cls(**values)
        except EdgeCrnnError as error:  # of the class's own checks, which do not know where the values come from
            raise self.error(f"{where}: {error}") from error

    def value(self, hint: Any, data: object, where: str) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            return self.build(typing.cast(type, hint), data, where)
        if origin is Literal:
            if isinstance(data, str | int) and any(data == known and type(data) is type(known) for known in arguments):
                return data
        elif origin in (types.UnionType, typing.Union):  # the latter of `Literal[...] | None`
            return self.union(arguments, data, where)
        elif origin is tuple and arguments[-1] is Ellipsis:
            if isinstance(data, list) or (isinstance(data, str) and arguments[0] is str):
                return tuple(self.value(arguments[0], each, where) for each in data)
        elif origin is tuple:
            if isinstance(data, list) and len(data) == len(arguments):
                return tuple(self.value(each, item, where) for each, item in zip(arguments, data, strict=True))
        elif origin in (Mapping, dict) and isinstance(data, dict):
            return {
                self.value(str, key, where): self.value(arguments[1], each, f"{where}: {key}")
                for key, each in data.items()
            }
        elif hint is float and type(data) in (int, float):
            if abs(typing.cast(float, data)) <= sys.float_info.max:  # neither NaN, nor infinite, nor an integer beyond
                return float(typing.cast(float, data))
        elif hint is str and isinstance(data, str):
            if not _HALF_CHARACTER.search(data):
                return data
        elif hint in (int, bool) and type(data) is hint:
            return data
        expected = " | ".join(map(repr, arguments)) if origin is Literal else getattr(hint, "__name__", str(hint))
        raise self.error(f"{where}: found {data!r}, expected {expected}"[:500])

    def union(self, members: tuple[Any, ...], data: object, where: str) -> Any:
        """The value as the first member that takes it; the error of the only member beside None is its own."""
        if data is None and type(None) in members:
            return None
        members = tuple(member for member in members if member is not type(None))
        if len(members) == 1:
            return self.value(members[0], data, where)
        for member in members:
            with contextlib.suppress(self.error):
                return self.value(member, data, where)
        raise self.error(f"{where}: found {data!r}, expected {' | '.join(map(_words, members))}"[:500])


def _words(hint: Any) -> str:
    """A type, for a person."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return " | ".join(map(repr, arguments))
    if typing.get_origin(hint) is tuple:
        return f"a list of {len(arguments)} {_words(arguments[0])}"
    return getattr(hint, "__name__", str(hint))
