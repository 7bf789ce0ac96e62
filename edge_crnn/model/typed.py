"""Builds frozen dataclasses from parsed JSON and checks every field against its type hint."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from ..bounds import STORED
from ..errors import EdgeCrnnError
from ..terminal import HALF_CHARACTER

_T = TypeVar("_T")


def build(cls: type[_T], data: object, where: str, error: type[EdgeCrnnError], *, open_ended: bool = False) -> _T:
    """Build a dataclass from parsed JSON.

    Args:
        cls: its fields are str, int, float, bool, Literal, tuple, Mapping, dataclasses, None, or unions of them.
        data: the result of `json.loads`.
        where: the name of the data in messages.
        error: the class of the error to raise.
        open_ended: ignore fields that `cls` does not have, instead of refusing them.

    Raises:
        error: a field is missing, unknown or of another type.
    """
    return _Builder(error, open_ended).build(cls, data, where)


def check(hint: Any, data: object, where: str, error: type[EdgeCrnnError]) -> None:
    """Check that parsed JSON fits a type hint; for the arguments, see `build`.

    Raises:
        error: the data does not fit.
    """
    _Builder(error, open_ended=False).value(hint, data, where)


@dataclasses.dataclass(frozen=True)
class _Builder:
    error: type[EdgeCrnnError]
    open_ended: bool

    def build(self, cls: type[_T], data: object, where: str) -> _T:
        if not isinstance(data, dict):
            raise self.error(f"{where}: found {type(data).__name__}, expected an object")
        hints = _hints(cls)  # type: ignore[arg-type]  # a type variable is hashable, too
        fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if (unknown := data.keys() - fields.keys()) and not self.open_ended:
            raise self.error(f"{where}: unknown field {min(unknown)!r}; known are {', '.join(fields)}")
        values = {}
        for name, field in fields.items():
            if name in data:
                values[name] = self.value(hints[name], data[name], f"{where}: {name}")
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                if type(None) in typing.get_args(hints[name]):
                    values[name] = None
                    continue
                raise self.error(f"{where}: field {name!r} is missing; add it")
        try:
            return cls(**values)
        except EdgeCrnnError as error:  # from the class's own checks, which do not know the origin of the values
            raise self.error(f"{where}: {error}") from error

    def value(self, hint: Any, data: object, where: str) -> Any:
        origin = typing.get_origin(hint)
        arguments = typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            return self.build(typing.cast(type, hint), data, where)
        if origin is Literal:
            if isinstance(data, str | int) and any(
                data == allowed and type(data) is type(allowed) for allowed in arguments
            ):
                return data
        elif origin in (types.UnionType, typing.Union):  # `Literal[...] | None` is a Union
            return self.union(arguments, data, where)
        elif origin is tuple and arguments[-1] is Ellipsis:
            if isinstance(data, list) or (isinstance(data, str) and arguments[0] is str):
                return tuple(self.value(arguments[0], item, where) for item in data)
        elif origin is tuple:
            if isinstance(data, list) and len(data) == len(arguments):
                return tuple(self.value(member, item, where) for member, item in zip(arguments, data, strict=True))
        elif origin in (Mapping, dict) and isinstance(data, dict):
            return {
                self.value(str, key, where): self.value(arguments[1], item, f"{where}: {key}")
                for key, item in data.items()
            }
        elif hint is float and type(data) in (int, float):
            if abs(typing.cast(float, data)) <= sys.float_info.max:  # no NaN, infinity, or larger integer
                return float(typing.cast(float, data))
        elif hint is str and isinstance(data, str):
            if not HALF_CHARACTER.search(data):
                return data
        elif hint is int and type(data) is int:
            if STORED.allow(data):
                return data
        elif hint is bool and type(data) is bool:
            return data
        expected = " | ".join(map(repr, arguments)) if origin is Literal else getattr(hint, "__name__", str(hint))
        raise self.error(f"{where}: found {_shown(data)}, expected {expected}"[:500])

    def union(self, members: tuple[Any, ...], data: object, where: str) -> Any:
        """Return the value as the first member that accepts it. A sole member beside None raises its own error."""
        if data is None and type(None) in members:
            return None
        members = tuple(member for member in members if member is not type(None))
        if len(members) == 1:
            return self.value(members[0], data, where)
        for member in members:
            with contextlib.suppress(self.error):
                return self.value(member, data, where)
        raise self.error(f"{where}: found {_shown(data)}, expected {' | '.join(map(_words, members))}"[:500])


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the type hints of a class; to evaluate them takes longer than to build an object."""
    return typing.get_type_hints(cls)


def _shown(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _words(hint: Any) -> str:
    """Describe a type for a person."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return " | ".join(map(repr, arguments))
    if typing.get_origin(hint) is tuple:
        return f"a list of {len(arguments)} {_words(arguments[0])}"
    return getattr(hint, "__name__", str(hint))
