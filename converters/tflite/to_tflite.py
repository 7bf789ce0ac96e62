"""Lowers a graph to TFLite, with builtin ops only.

The file takes pixels (transposition, inversion, scale and offset inside) or the network's own float32 input, and gives
probabilities. `lowering` lists how each primitive is written, `recurrent` describes recurrent layers, and `precision`
lists what is int8.
"""

from __future__ import annotations

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec

from ..graph.graph import INPUT, Graph, Ranges
from ..recipe import Recipe
from .lowering import Values
from .pixels import IMAGE, Lack, network_input
from .quantisation import shared_ranges
from .writer import Writer

SIGNATURE, PROBABILITIES = "read", "probabilities"


def to_tflite(graph: Graph, image: InputSpec, recipe: Recipe, ranges: Ranges | None = None, batch: int = 1) -> bytes:
    """Return the TFLite file of a graph.

    Args:
        graph: the graph, folded or not, which is lowered as it is. It must give probabilities.
        image: the file's input. uint8: (batch, height, width, channels) pixels, which are already turned; float32:
            (batch, *graph.input_shape) as the network takes it.
        recipe: precisions, and the form of the recurrence.
        ranges: ranges of the graph's values, from `ranges.calibrate`, if the recipe needs them.
        batch: images per call, fixed in the file.

    Raises:
        ConversionError: ranges are missing, or a node has no lowering in this recipe.
    """
    if recipe.needs_calibration and not ranges:
        raise ConversionError(f"recipe {recipe.name} needs calibration images; give --calibration DIR")
    if image.shape != graph.input_shape:
        raise ConversionError(
            f"the spec's input is {image.shape}, the network takes {graph.input_shape}; mend the spec"
        )
    writer = Writer(f"edge-crnn {recipe.name}")
    main = writer.subgraph("main")
    values = Values(graph, recipe, main, shared_ranges(graph, ranges or {}), batch)
    lack = Lack()
    if image.dtype == "uint8":
        taken, x, lack = network_input(values.stack, image, batch, graph)
    else:
        taken = x = main.tensor(IMAGE, (batch, *graph.input_shape))
    values.put(INPUT, x)
    for node in graph.nodes:
        values.lower(lack.made_up(node))
    probabilities = values.output()
    main.bind([taken], [probabilities])
    return writer.finish(SIGNATURE, {IMAGE: taken}, {PROBABILITIES: probabilities})
