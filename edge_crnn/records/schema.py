"""JSON Schemas of the files of results, for other tools that read them."""

from __future__ import annotations

from typing import Any

from ..model.schema import schema_of
from .record import SUITES, Header


def record_schema(suite: str) -> dict[str, Any]:
    """Return the JSON Schema, draft 2020-12, of one kind of file.

    Args:
        suite: key of `SUITES`, the value of `suite` in such files.
    """
    kind = SUITES[suite]
    form = {
        "suite": {"enum": [suite], "description": "Kind of the file."},
        "version": {"enum": [kind.VERSION], "description": "Version of the form."},
    }
    schema = schema_of(f"Results of {suite}", form, Header, kind, open_ended=True)
    return {**schema, "required": [*form, *schema["required"]]}
