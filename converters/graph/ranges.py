"""The ranges of a graph's values on real images, which static int8 needs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import ConversionError, DatasetError

from . import oracle
from .cells import Array
from .graph import Graph, Ranges


def calibrate(graph: Graph, batches: Iterable[npt.NDArray[np.float32]]) -> Ranges:
    """Find the smallest and largest element of every value of the graph over all batches (N, *input_shape).

    The values are those that `oracle.run` shows: each layer's output by the layer's name, and what happens inside
    recurrent layers. Call it on the graph that is lowered: folding changes the values.

    Raises:
        DatasetError: there is no image.
        ConversionError: a value is not finite.
    """
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}

    def observe(name: str, value: Array) -> None:
        # np.minimum and not min, which loses NaN
        lows[name] = float(np.minimum(lows.get(name, np.inf), value.min()))
        highs[name] = float(np.maximum(highs.get(name, -np.inf), value.max()))

    for batch in filter(len, batches):
        with np.errstate(over="ignore", invalid="ignore"):  # the check below names the value
            oracle.run(graph, batch, observe)
    if not lows:
        raise DatasetError("no calibration images; name a folder with some")
    for name in lows:
        if not np.isfinite([lows[name], highs[name]]).all():
            raise ConversionError(f"value {name!r} goes from {lows[name]} to {highs[name]}; int8 needs finite values")
    return {name: (lows[name], highs[name]) for name in lows}
