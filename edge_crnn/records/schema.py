"""JSON Schemas of the files of results, for whoever reads them with other tools."""

from __future__ import annotations

from typing import Any

from ..model.schema import schema_of
from .record import SUITES, Header


def record_schema(suite: str) -> dict[str, Any]:
    """The schema, draft 2020-12, of one kind of file.

    Args:
        suite: a key of `SUITES`, which such files have in `suite`.
    """
    kind = SUITES[suite]
    form = {
        "suite": {"enum": [suite], "description": "Kind of the file."},
        "version": {"enum": [kind.VERSION], "description": "Version of its form."},
    }
    schema = schema_of(f"Results of {suite}", form, Header, kind, open_ended=True)
    return {**schema, "required": [*form, *schema["required"]]}
