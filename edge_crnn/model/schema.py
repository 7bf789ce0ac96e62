"""The JSON Schema of a spec, for editors that complete and check what a person writes.

It is made of the dataclasses, their types and docstrings. `python -m edge_crnn.model.schema` prints what
`edge_crnn/data/spec.schema.json` holds.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import sys
import textwrap
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from .spec import VERSION, InputSpec, ModelSpec, OutputSpec

_SUPPLIED = (ModelSpec, InputSpec, OutputSpec)
"""What a model file, an option or a default can supply: none of their fields has to be written."""
_PRIMITIVES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def json_schema() -> dict[str, Any]:
    """The schema, in draft 2020-12, of what may be written beside a trained model or into an artifact."""
    definitions: dict[str, Any] = {}
    _define(ModelSpec, definitions)
    spec = definitions.pop("ModelSpec")
    version = {"enum": list(range(1, VERSION + 1)), "description": "Of this form; the newest if it is left out."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What a model says about itself to edge-crnn",
        **spec,
        "properties": {"$schema": {"type": "string"}, "version": version, **spec["properties"]},
        "$defs": definitions,
    }


def as_text() -> str:
    """The schema as the file has it."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


def _define(cls: type, definitions: dict[str, Any]) -> None:
    hints, described = typing.get_type_hints(cls), _docstrings(cls)
    definitions[cls.__name__] = {}  # keeps the order in which they are met
    properties, required = {}, []
    for each in dataclasses.fields(cls):
        description = {"description": described[each.name]} if each.name in described else {}
        properties[each.name] = {**_of(hints[each.name], definitions), **description}
        if cls not in _SUPPLIED and each.default is each.default_factory is dataclasses.MISSING:
            required.append(each.name)
    definitions[cls.__name__] = {
        "type": "object",
        "description": _paragraphs(cls.__doc__ or ""),
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type, as `typed.build` takes it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        cls = typing.cast(type, hint)
        if cls.__name__ not in definitions:
            _define(cls, definitions)
        return {"$ref": f"#/$defs/{cls.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_of(each, definitions) for each in arguments]}
    if origin is tuple and arguments[-1] is Ellipsis:
        several = {"type": "array", "items": _of(arguments[0], definitions)}
        return {"anyOf": [{"type": "string"}, several]} if arguments[0] is str else several
    if origin is tuple:
        items = [_of(each, definitions) for each in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    return {"type": _PRIMITIVES[hint]}


def _docstrings(cls: type) -> dict[str, str]:
    """Field → the string that stands below it in the source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = _paragraphs(str(below.value.value))
    return found


def _paragraphs(docstring: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(docstring).split("\n\n"))


if __name__ == "__main__":
    sys.stdout.write(as_text())
