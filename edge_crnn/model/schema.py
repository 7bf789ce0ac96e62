"""JSON Schemas, draft 2020-12, generated from the types and docstrings of dataclasses.

Editors use the schema of a spec to complete and check what a person writes. `python -m edge_crnn.model.schema` prints
the content of `edge_crnn/data/spec.schema.json`.
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
"""Classes whose fields may all be left out, since a model file, an option or a default can supply them."""
_PRIMITIVES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def json_schema() -> dict[str, Any]:
    """Return the schema of the spec of a trained model or of an artifact."""
    version = {
        "enum": list(range(1, VERSION + 1)),
        "description": "Version of this form; the newest if left out.",
    }
    about = {"$schema": {"type": "string"}, "version": version}
    return schema_of("Description of a model for edge-crnn", about, ModelSpec)


def schema_of(title: str, properties: Mapping[str, Any], *classes: type, open_ended: bool = False) -> dict[str, Any]:
    """Return the schema of an object that holds the fields of one or several dataclasses.

    Args:
        title: the heading of the schema.
        properties: name of a field → schema, for fields that no dataclass has.
        classes: dataclasses that `typed.build` can build; the last one supplies the description.
        open_ended: allow other fields as well, as `typed.build` does.
    """
    definitions: dict[str, Any] = {}
    for cls in classes:
        _define(cls, definitions, open_ended)
    parts = [definitions.pop(cls.__name__) for cls in classes]
    required = list(dict.fromkeys(name for part in parts for name in part.get("required", ())))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "description": parts[-1]["description"],
        "properties": {**properties, **{name: field for part in parts for name, field in part["properties"].items()}},
        **({"required": required} if required else {}),
        "additionalProperties": open_ended,
        "$defs": definitions,
    }


def as_text() -> str:
    """Return the content of the schema file."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


def _define(cls: type, definitions: dict[str, Any], open_ended: bool) -> None:
    hints = typing.get_type_hints(cls)
    described = _docstrings(cls)
    definitions[cls.__name__] = {}  # reserves its place in the order of appearance
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(cls):
        description = {"description": described[field.name]} if field.name in described else {}
        properties[field.name] = {**_of(hints[field.name], definitions, open_ended), **description}
        if cls not in _SUPPLIED and field.default is field.default_factory is dataclasses.MISSING:
            required.append(field.name)
    definitions[cls.__name__] = {
        "type": "object",
        "description": _paragraphs(cls.__doc__ or ""),
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": open_ended,
    }


def _of(hint: Any, definitions: dict[str, Any], open_ended: bool) -> dict[str, Any]:
    """Return the schema of the JSON that `typed.build` accepts for a type."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        cls = typing.cast(type, hint)
        if cls.__name__ not in definitions:
            _define(cls, definitions, open_ended)
        return {"$ref": f"#/$defs/{cls.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_of(member, definitions, open_ended) for member in arguments]}
    if origin is tuple and arguments[-1] is Ellipsis:
        several = {"type": "array", "items": _of(arguments[0], definitions, open_ended)}
        return {"anyOf": [{"type": "string"}, several]} if arguments[0] is str else several
    if origin is tuple:
        items = [_of(member, definitions, open_ended) for member in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if origin in (Mapping, dict):
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions, open_ended)}
    return {"type": _PRIMITIVES[hint]}


def _docstrings(cls: type) -> dict[str, str]:
    """Return, by field, the string below the field in the source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    docstrings = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            docstrings[ast.unparse(field.target)] = _paragraphs(str(below.value.value))
    return docstrings


def _paragraphs(docstring: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(docstring).split("\n\n"))


if __name__ == "__main__":
    sys.stdout.write(as_text())
