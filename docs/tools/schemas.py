"""The reference of the JSON formats, generated from their schemas: the spec, and every kind of record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.tools.text import cell, code
from edge_crnn.model.schema import json_schema
from edge_crnn.records.record import SUITES
from edge_crnn.records.schema import record_schema

Schema = Mapping[str, Any]


def record_schemas() -> dict[str, Schema]:
    """Return the JSON Schemas of the kinds of records, by file of the site."""
    return {
        f"schemas/{suite.removeprefix('edge-crnn ').replace(' ', '-')}.json": record_schema(suite) for suite in SUITES
    }


def files() -> dict[str, str]:
    """Return the texts of the schemas that are not files of the repository, by file of the site."""
    return {path: json.dumps(schema, ensure_ascii=False, indent=1) for path, schema in record_schemas().items()}


def spec_fields() -> str:
    """Return tables of the fields of a spec, in Markdown."""
    schema = json_schema()
    return "\n".join([*_table(schema), *_definitions(schema)])


def record_fields() -> str:
    """Return tables of the fields of every kind of record, in Markdown."""
    lines: list[str] = []
    for path, schema in record_schemas().items():
        suite = schema["properties"]["suite"]["enum"][0]
        lines += ["", f"### {suite}", "", f"{_first(schema)} [JSON Schema]({path})", "", *_table(schema)]
    return "\n".join(lines)


def _definitions(schema: Schema) -> Iterator[str]:
    for name, definition in schema["$defs"].items():
        yield from ("", f"### {name}", "", _first(definition), "", *_table(definition))


def _table(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    yield from ("| field | type | meaning |", "|---|---|---|")
    for name, field in schema["properties"].items():
        if name != "$schema":
            needed = "" if name not in required else " (required)"
            yield f"| {code(name)} | {cell(_type(field))} | {cell(field.get('description', ''))}{needed} |"


def _first(schema: Schema) -> str:
    """Return the first paragraph of a description."""
    return str(schema.get("description", "")).partition("\n\n")[0]


def _type(field: Schema) -> str:
    """Return a type in words, such as `number or null`."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "enum" in field:
        return ", ".join(json.dumps(value, ensure_ascii=False) for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "prefixItems" in field:
        return f"{len(field['prefixItems'])} values"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    additional = field.get("additionalProperties")
    if field.get("type") == "object" and isinstance(additional, Mapping):
        return f"object of {_type(additional)}"
    return str(field.get("type", "any"))
