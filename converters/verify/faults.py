"""Faults that agreement with the trained model does not show, or shows too late to tell what they are."""

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
_ROUNDING, _ON_A_GPU = 1e-5, 0.05  # |Δp|: for another batch sums may go in another order; on a GPU, in float16
_ALWAYS, _SEEN = 0.9, 3
"""Share of a symbol's places, and fewest of them, at which it is read as another one."""
_TOLD = 4
_NEAR, _STEPS = 0.01, 2  # of a scale, of a zero point: JPEG decoders and float32 sums differ between machines

_CALIBRATED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Ops whose int8 results have a range of their own; others hand on what they are given, or have a fixed one."""


def refuse_company(backend: Backend, spec: ModelSpec, dataset: Dataset, readings: Readings, name: str) -> None:
    """Read some images once more, in the opposite order, and make sure that nothing changes.

    What an image gives must depend neither on those beside it in a batch nor on those before it: little in most images
    is another text in a few. Only rounding may differ.

    Raises:
        VerificationError: an image gave something else.
    """
    places = np.arange(len(dataset))[:: -(-len(dataset) // _IN_ANOTHER_ORDER)][::-1]
    again = backend.infer(preprocess([dataset.entries[place].load() for place in places], spec.input))
    before = readings.probabilities[places]
    apart = np.abs(again - before).max(axis=(1, 2))
    allowed = _ROUNDING if backend.facts.device == "cpu" else _ON_A_GPU
    wrong = (apart > allowed) | (np.array(Readings.of(again, spec).labels) != np.array(readings.labels)[places])
    if wrong.any():
        worst = int(np.argmax(apart))
        raise VerificationError(
            f"{name}: {wrong.sum()} of {len(places)} images gave other probabilities when they were read in the"
            f" opposite order, by up to {apart[worst]:.2g} ({dataset.entries[places[worst]].path}); expected the same,"
            " whatever comes before or beside an image: it mixes images, convert it again, with --batch 1"
        )


def refuse_other_alphabet(spec: ModelSpec, datasets: Sequence[Dataset], reference: Sequence[Readings]) -> None:
    """Refuse a trained model that always reads some symbols as each other: its spec has them in another order.

    Reference and artifact then agree on texts that are wrong.

    Raises:
        VerificationError: it does.
    """
    found: dict[str, Counter[str]] = {}
    alphabet = spec.alphabet
    for dataset, readings in zip(datasets, reference, strict=True):
        for entry, label in zip(dataset, readings.labels, strict=True) if dataset.labelled else ():
            truth, given = alphabet.encode(entry.label), alphabet.encode_reading(label)
            if len(truth) == len(given):
                for one, other in zip(truth, given, strict=True):
                    found.setdefault(alphabet.spell([one]), Counter())[alphabet.spell([other])] += 1
    swapped = _permuted({symbol: _always(counts) for symbol, counts in found.items()})
    if swapped:
        told = [
            f"{given!r} for {symbol!r} ({found[symbol][given]} of {found[symbol].total()})"
            for symbol, given in swapped.items()
        ]
        more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        raise VerificationError(
            f"the trained model reads {', '.join(told[:_TOLD])}{more}, expected each symbol for itself; the symbols of"
            f" the spec of {spec.name!r} are not in the order in which it was trained: mend them"
        )


def refuse_other_ranges(artifact: Artifact, graph: Graph, ranges: Ranges, images: object) -> None:
    """Make sure that an artifact's int8 values have the ranges that calibration images give.

    Args:
        artifact: a `.tflite`.
        graph: what it was made of, folded.
        ranges: of the graph's values on the images, from `calibration.calibrate`.
        images: what to call them.

    Raises:
        ArtifactError: they have others: it was quantised without these images, or with others.
    """
    wrong = []
    ranges = shared_ranges(graph, ranges)
    for tensor, (scale, zero_point) in _calibrated(artifact.payload):
        if ranges.keys().isdisjoint({tensor, tensor.rpartition(":")[0]}):
            continue  # a step on the way to a node's value
        expected = quantisation_of(tensor, ranges)
        low, high = ((end - expected.zero_point) * expected.scale for end in (-128, 127))
        if abs(scale - expected.scale) > _NEAR * expected.scale or abs(zero_point - expected.zero_point) > _STEPS:
            stored = f"{(-128 - zero_point) * scale:.3g} to {(127 - zero_point) * scale:.3g}"
            wrong.append(f"{tensor!r} from {stored} where they give {low:.3g} to {high:.3g}")
    if wrong:
        raise ArtifactError(
            f"{artifact.path.name}: {len(wrong)} of its int8 values have not the ranges that {images} gives, such as"
            f" {wrong[0]}; it was quantised without these images, or with others: convert it again with --calibration"
        )


def _calibrated(payload: bytes) -> list[tuple[str, tuple[float, int]]]:
    """Name, scale and zero point of each int8 value with a range of its own."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    wanted = {getattr(schema.BuiltinOperator, name) for name in _CALIBRATED}
    codes = [max(each.builtinCode, each.deprecatedBuiltinCode) for each in model.operatorCodes]
    found = []
    for subgraph in model.subgraphs:
        for op in subgraph.operators:
            tensor = subgraph.tensors[int(op.outputs[0])]
            if codes[op.opcodeIndex] in wanted and tensor.type == schema.TensorType.INT8:
                quantisation = tensor.quantization
                found.append((tensor.name.decode(), (float(quantisation.scale[0]), int(quantisation.zeroPoint[0]))))
    return found


def _always(counts: Counter[str]) -> str | None:
    ((given, times),) = counts.most_common(1)
    return given if times >= max(_SEEN, _ALWAYS * counts.total()) else None


def _permuted(read_as: Mapping[str, str | None]) -> dict[str, str]:
    """Those symbols that change places with each other → what they are read as."""
    swapped = {symbol: given for symbol, given in read_as.items() if given is not None and given != symbol}
    while loose := swapped.keys() ^ set(swapped.values()):
        swapped = {symbol: given for symbol, given in swapped.items() if symbol not in loose and given not in loose}
    return swapped
