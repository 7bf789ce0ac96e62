"""Finds faults that agreement with the trained model does not show, or shows without telling the cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from edge_crnn.backends import Backend
from edge_crnn.dataset import Dataset
from edge_crnn.errors import ArtifactError, VerificationError
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ModelSpec
from edge_crnn.preprocess import preprocess

from ..graph.graph import Graph, Ranges
from ..tflite.quantisation import quantisation_of, shared_ranges
from .gate import Readings

_IN_ANOTHER_ORDER = 32
_ROUNDING = 1e-5  # of probabilities: in another batch, sums may be added in another order
_ROUNDING_ON_A_GPU = 0.05  # which computes in float16
_ALWAYS = 0.9
"""Smallest share of a symbol's places at which it must be read as the same other symbol."""
_FEWEST_PLACES = 3
_MOST_LISTED = 4
_SCALE_TOLERANCE = 0.01  # relative; JPEG decoders and float32 sums differ between machines
_ZERO_POINT_TOLERANCE = 2

_CALIBRATED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Ops whose int8 results have a range of their own; other ops keep the range of their input, or have a fixed one."""


def refuse_company(backend: Backend, spec: ModelSpec, dataset: Dataset, readings: Readings, name: str) -> None:
    """Read some images again, in the opposite order, and make sure that nothing but rounding changes.

    A reading must not depend on the other images of a batch, nor on earlier images: a small influence on most images is
    another text for a few.

    Raises:
        VerificationError: an image gave other probabilities.
    """
    places = np.arange(len(dataset))[:: -(-len(dataset) // _IN_ANOTHER_ORDER)][::-1]
    again = backend.infer(preprocess([dataset.entries[place].load() for place in places], spec.input))
    before = readings.probabilities[places]
    apart = np.abs(again - before).max(axis=(1, 2))
    allowed = _ROUNDING if backend.facts.device == "cpu" else _ROUNDING_ON_A_GPU
    wrong = (apart > allowed) | (np.array(Readings.of(again, spec).labels) != np.array(readings.labels)[places])
    if wrong.any():
        worst = int(np.argmax(apart))
        raise VerificationError(
            f"{name}: {wrong.sum()} of {len(places)} images gave other probabilities when they were read in the"
            f" opposite order, by up to {apart[worst]:.2g} ({dataset.entries[places[worst]].path}); expected the same,"
            " whatever other images are read: the model mixes images, so convert it again with --batch 1"
        )


def refuse_other_alphabet(spec: ModelSpec, datasets: Sequence[Dataset], reference: Sequence[Readings]) -> None:
    """Refuse a trained model that always exchanges some symbols, because its spec has them in another order.

    Reference and artifact then agree on texts that are wrong.

    Raises:
        VerificationError: some symbols are always read as one another.
    """
    readings_of: dict[str, Counter[str]] = {}
    alphabet = spec.alphabet
    for dataset, readings in zip(datasets, reference, strict=True):
        for entry, label in zip(dataset, readings.labels, strict=True) if dataset.labelled else ():
            truth = alphabet.encode(entry.label)
            read = alphabet.encode_reading(label)
            if len(truth) == len(read):
                for true_index, read_index in zip(truth, read, strict=True):
                    counts = readings_of.setdefault(alphabet.spell([true_index]), Counter())
                    counts[alphabet.spell([read_index])] += 1
    swapped = _permuted({symbol: _always(counts) for symbol, counts in readings_of.items()})
    if swapped:
        lines = [
            f"{other!r} for {symbol!r} ({readings_of[symbol][other]} of {readings_of[symbol].total()})"
            for symbol, other in swapped.items()
        ]
        more = f" and {len(lines) - _MOST_LISTED} more" if len(lines) > _MOST_LISTED else ""
        raise VerificationError(
            f"the trained model reads {', '.join(lines[:_MOST_LISTED])}{more}, expected each symbol for itself; the"
            f" symbols of the spec of {spec.name!r} are not in the order in which it was trained: correct their order"
        )


def refuse_other_ranges(artifact: Artifact, graph: Graph, ranges: Ranges, images: object) -> None:
    """Make sure that an artifact's int8 values have the ranges that calibration images give.

    Args:
        artifact: a `.tflite`.
        graph: the folded graph that it was converted from.
        ranges: ranges of the graph's values on the images, from `ranges.calibrate`.
        images: the name of the images in the message.

    Raises:
        ArtifactError: the ranges differ, so it was quantised without these images, or with others.
    """
    wrong = []
    ranges = shared_ranges(graph, ranges)
    for tensor, (scale, zero_point) in _calibrated(artifact.payload):
        value = tensor if tensor in ranges else tensor.rpartition(":")[0]
        if value not in ranges:
            continue  # an intermediate result inside a node
        expected = quantisation_of(value, ranges)
        low, high = ((end - expected.zero_point) * expected.scale for end in (-128, 127))
        scale_differs = abs(scale - expected.scale) > _SCALE_TOLERANCE * expected.scale
        if scale_differs or abs(zero_point - expected.zero_point) > _ZERO_POINT_TOLERANCE:
            stored = f"{(-128 - zero_point) * scale:.3g} to {(127 - zero_point) * scale:.3g}"
            wrong.append(f"{value!r} from {stored}, expected {low:.3g} to {high:.3g}")
    if wrong:
        raise ArtifactError(
            f"{artifact.path.name}: the ranges of {len(wrong)} int8 values are not those of {images}, such as"
            f" {wrong[0]}; it was quantised without these images, or with others: convert it again with --calibration"
        )


def _calibrated(payload: bytes) -> list[tuple[str, tuple[float, int]]]:
    """Return name, scale and zero point of every int8 value with a range of its own."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    calibrated_codes = {getattr(schema.BuiltinOperator, name) for name in _CALIBRATED}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    values = []
    for subgraph in model.subgraphs:
        for op in subgraph.operators:
            tensor = subgraph.tensors[int(op.outputs[0])]
            if codes[op.opcodeIndex] in calibrated_codes and tensor.type == schema.TensorType.INT8:
                quantisation = tensor.quantization
                values.append((tensor.name.decode(), (float(quantisation.scale[0]), int(quantisation.zeroPoint[0]))))
    return values


def _always(counts: Counter[str]) -> str | None:
    """Return the symbol that is nearly always read, or None."""
    ((symbol, times),) = counts.most_common(1)
    return symbol if times >= max(_FEWEST_PLACES, _ALWAYS * counts.total()) else None


def _permuted(read_as: Mapping[str, str | None]) -> dict[str, str]:
    """Return the symbols that exchange places, and the symbol that each is read as."""
    swapped = {symbol: other for symbol, other in read_as.items() if other is not None and other != symbol}
    while loose := swapped.keys() ^ set(swapped.values()):
        swapped = {symbol: other for symbol, other in swapped.items() if symbol not in loose and other not in loose}
    return swapped
