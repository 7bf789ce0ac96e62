"""The list of the layers that are converted, as Markdown; `python -m converters.trained.keras.layers.table` writes it.

docs/layers.md is this list. A test fails if it is not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import getdoc

from .. import calls as calls  # enters models within models
from .. import lambdas as lambdas
from ..builder import LAYERS, Convert

_START = """\
# Layers

edge-crnn converts these layers of Keras 2 and Keras 3. If a setting of a layer is not supported, an error names it.
`ops.` stands for `keras.ops`, the operations that a functional model may call between layers. To add a missing layer,
write one function: see [CONTRIBUTING.md](../CONTRIBUTING.md#add-a-keras-layer).

This page is generated: `python -m converters.trained.keras.layers.table > docs/layers.md`
"""

_HEADINGS = {
    "convolution": "Convolution, pooling and resizing",
    "elementwise": "Activations and scaling",
    "merging": "Merging layers",
    "models": "Nested models",
    "moving": "Operations that move elements",
    "operations": "Other operations",
    "shaping": "Shape, regularisation and augmentation",
}
"""Module → heading of its table, unless it is the name of the module."""


def markdown() -> str:
    """Return the page, with a table for each family."""
    families: dict[str, dict[Convert, list[str]]] = {}
    for kind, convert in LAYERS.items():
        family = convert.__module__.rpartition(".")[2]
        families.setdefault("models" if family == "calls" else family, {}).setdefault(convert, []).append(kind)
    tables = ("\n".join(_table(family, families[family])) for family in sorted(families))
    return "\n".join([_START, *tables])


def _table(family: str, functions: dict[Convert, list[str]]) -> Iterator[str]:
    yield f"## {_HEADINGS.get(family, family.capitalize())}\n"
    yield "| Keras | becomes |\n|---|---|"
    rows: dict[str, list[str]] = {}
    for convert, kinds in functions.items():
        rows.setdefault(_first_sentence(convert) or "What its name says", []).extend(kinds)
    for words, kinds in sorted(rows.items(), key=lambda row: sorted(row[1])):
        yield f"| {', '.join(f'`{kind}`' for kind in sorted(kinds))} | {words} |"
    yield ""


def _first_sentence(convert: Convert) -> str:
    paragraph = (getdoc(convert) or "").partition("\n\n")[0].replace("\n", " ")
    sentence = re.split(r"(?<=\.)\s+(?=[A-Z])", paragraph)[0].removesuffix(".").removeprefix("Convert ")
    return (sentence[:1].upper() + sentence[1:]).replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
