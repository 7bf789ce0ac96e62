"""The table of all networks: `python -m tests.zoo.table > docs/zoo.md`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .case import Case
from .cases import CASES
from .conversion import Converted, converted, deviations

_HEAD = """# Public networks, converted

Each row is a public Keras text recogniser, a common pattern (33), or a recogniser with a backbone or layers of Keras
(b1 to b6). We rebuilt each network with random weights, and saved it as its project does. Some are narrower than the
original, with the same layers. "Nodes" is the number of primitives in the [graph](architecture.md#conversion). The
numbers to the right of it are the largest difference between a probability of Keras and one of the artifact, over four
images. Keras runs layer by layer, because `predict` uses an optimiser of TensorFlow that computes network 17 wrongly.
With random weights, int8 looks worse than with trained ones; see the [trained networks](trained_zoo.md).

This page is generated: `python -m tests.zoo.table > docs/zoo.md`

| # | project | what is special | file | you state | nodes | float32 | ONNX | float16 | dynamic | int8 | int8-full |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
_SHOWN = ("float32", "onnx float32", "float16", "dynamic", "int8", "int8-full")


def row(one: Converted) -> str:
    """Return the table's row of a network."""
    case, apart = one.case, deviations(one)
    cells = [
        case.number,
        case.source,
        case.features,
        f"`{Path(case.file).suffix}`, {'Keras 2' if case.framework == 'keras2' else 'Keras 3'}",
        stated(case),
        str(len(one.graph.nodes)),
        *(f"{apart[recipe]:.1e}" for recipe in _SHOWN),
    ]
    return f"| {' | '.join(cells)} |"


def stated(case: Case) -> str:
    """Return the facts that the user states because the file cannot."""
    lambdas = case.spec_lines.get("lambdas", {})
    parts = [f"`{name}`: `{words}`" for name, words in lambdas.items()]
    parts += [f"{name} {case.spec_lines[name]}" for name in ("width", "height") if name in case.spec_lines]
    parts += [f"`--layers` for `{name}`" for name in case.own_layers]
    return ", ".join(parts) or "nothing"


def main() -> None:
    """Print the page."""
    sys.stdout.write(_HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES.values():
            if not case.excluded:
                sys.stdout.write(row(converted(case, Path(folder))) + "\n")
                sys.stdout.flush()
    sys.stdout.write("\nNot converted:\n\n")
    for case in CASES.values():
        if case.excluded:
            sys.stdout.write(f"- {case.number}, {case.source}: {case.excluded}\n")


if __name__ == "__main__":
    main()
