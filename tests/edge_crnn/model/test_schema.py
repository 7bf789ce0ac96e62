from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import edge_crnn
from edge_crnn.model.schema import as_text, json_schema
from edge_crnn.model.spec import ModelSpec
from tests.edge_crnn.model.test_spec import VERSION_1, changed, specs

ROOT = Path(__file__).parents[3]
SCHEMA = json_schema()


def fits(data: Any, schema: Any, definitions: Any = SCHEMA["$defs"]) -> bool:
    """Return whether data fits a JSON Schema. A small validator for the keywords that our schema uses."""
    if isinstance(schema, bool):
        return schema
    schema = {**schema, **(definitions[schema["$ref"].split("/")[-1]] if "$ref" in schema else {})}
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": int | float,
        "null": type(None),
    }  # fmt: skip
    if "type" in schema:
        number = isinstance(data, bool) and schema["type"] in ("integer", "number")
        if number or not isinstance(data, kinds[schema["type"]]):
            return False
    if "enum" in schema and not any(data == value and type(data) is type(value) for value in schema["enum"]):
        return False
    if "anyOf" in schema and not any(fits(data, option, definitions) for option in schema["anyOf"]):
        return False
    if isinstance(data, list):
        first = schema.get("prefixItems", [])
        return (
            len(data) >= schema.get("minItems", 0)
            and all(fits(item, item_schema, definitions) for item, item_schema in zip(data, first, strict=False))
            and all(fits(item, schema.get("items", True), definitions) for item in data[len(first) :])
        )
    if isinstance(data, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= data.keys() and all(
            fits(value, properties.get(name, others), definitions) for name, value in data.items()
        )
    return True


def test_schema_file_is_up_to_date() -> None:
    file = Path(edge_crnn.__file__).parent / "data" / "spec.schema.json"
    assert file.read_text(encoding="utf-8") == as_text(), "python -m edge_crnn.model.schema > the file"


@settings(deadline=None)
@given(specs())
def test_every_spec_fits(spec: ModelSpec) -> None:
    data = json.loads(spec.to_json())
    assert fits(data, SCHEMA)
    assert fits({**data, "symbols": list(spec.symbols)}, SCHEMA)


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.json")), ids=lambda path: path.name)
def test_the_shipped_specs_fit(path: Path) -> None:
    assert fits(json.loads(path.read_text(encoding="utf-8")), SCHEMA)


def test_nothing_is_required_that_something_else_can_supply() -> None:
    assert fits({}, SCHEMA)
    assert fits({"input": {"resize": "fit"}, "output": {}, "blank": 3}, SCHEMA)
    assert not fits({"input": {"function": {"function": "f"}}}, SCHEMA)


def test_an_editor_s_own_field_is_passed_over() -> None:
    named = {"$schema": "spec.schema.json", **json.loads(VERSION_1)}
    assert fits(named, SCHEMA)
    assert ModelSpec.from_json(json.dumps(named)) == ModelSpec.from_json(VERSION_1)


WRONG = [
    ("beam", 5), ("input.mean", 5), ("parity.sets.0.images", ...), ("blank", "6"), ("blank", True), ("skip_steps", 2.5),
    ("name", 7), ("input", []), ("symbols", {}), ("symbols", [0, 1]), ("input.axes", "CHW"), ("input.axes", ["HWC"]),
    ("label_map", 1), ("label_map.A", 1), ("blank", None), ("parity.agreement_interval", [0.5]),
    ("parity.agreement_interval", [0.5, 0.6, 0.7]), ("parity.sets", "ab"), ("version", 3), ("input.rotate", 45),
    ("input.rotate", True), ("input.scale", [1, 2]), ("input.padding", "edges"), ("input.padding", [1, 2, 3.5]),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value"), WRONG)
def test_a_wrong_spec_does_not_fit(where: str, value: Any) -> None:
    assert not fits(json.loads(changed(where, value)), SCHEMA)
    with pytest.raises(edge_crnn.ModelSpecError):
        ModelSpec.from_json(changed(where, value))


def test_docstrings_are_descriptions() -> None:
    image = SCHEMA["$defs"]["InputSpec"]
    assert image["properties"]["rotate"] == {
        "enum": [0, 90, 180, 270], "description": "Degrees clockwise by which the canvas is turned.",
    }  # fmt: skip
    assert all(field.get("description") for field in image["properties"].values())
