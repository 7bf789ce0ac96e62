"""Attention over steps, and embeddings of constant positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....graph.cells import Array
from ....graph.nodes import MAX_VALUES, Dense, Permute, Shape, Softmax, Unary
from ..builder import Layer, Value, converts
from ..config import MAX_SIZE
from ..file import Part

_MASKED = -3e4
"""Added to masked scores: it makes their weight 0, and half precision can represent it."""
_MASKS = ("attention_mask", "key_mask", "mask", "query_mask", "value_mask")


# --- several heads ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Heads:
    """The split of a layer's projections into heads."""

    number: int
    key: int
    """Length of a head's queries and keys."""
    value: int
    """Length of a head's values."""


@converts("MultiHeadAttention")
def multi_head_attention(layer: Layer) -> Value | tuple[Value, Value]:
    """Vaswani et al. 2017."""
    _refuse_masks(layer)
    query, value, key = _operands(layer)
    layer.expect("attention_axes", None, [1], 1, [-2], -2)
    heads = _Heads(
        layer.size("num_heads"),
        layer.size("key_dim"),
        layer.size("value_dim" if layer.settings.get("value_dim") else "key_dim"),
    )
    queries = _split(layer, "query", query, heads.number, heads.key, 1 / math.sqrt(heads.key))
    keys = _split(layer, "key", key, heads.number, heads.key)
    values = _split(layer, "value", value, heads.number, heads.value)
    scores = layer.matmul("scores", queries, keys, transposed=True)
    weights = layer.put(Softmax("weights"), _masked(layer, scores))
    steps = query.shape[0]
    width = heads.number * heads.value
    heard = layer.put(Permute("joined", (1, 0, 2)), layer.matmul("attended", weights, values))
    joined = layer.reshape("heads joined", heard, (steps, width))
    if layer.settings.get("use_gate"):
        gate = layer.put(Unary("gate/sigmoid", "sigmoid"), _projected(layer, "gate", query, heads.number, heads.value))
        joined = layer.binary("gated", "multiply", joined, gate)
    out = _output_shape(layer, query)
    kernel, bias = _weights(layer, "output", "attention_output", (heads.number, heads.value), out)
    result = layer.put(Dense("" if len(out) == 1 else "output", kernel, bias), joined)
    result = layer.reshape("", result, (steps, *out))
    return (result, weights) if layer.keywords.get("return_attention_scores") else result


def _operands(layer: Layer) -> tuple[Value, Value, Value]:
    """Return query, value and key, (steps, channels), which are passed in this order or by name."""
    arguments = dict(zip(("query", "value", "key"), layer.args, strict=False)) | dict(layer.keywords)
    query, value = arguments.get("query"), arguments.get("value")
    key = value if arguments.get("key") is None else arguments["key"]
    values = [operand for operand in (query, value, key) if isinstance(operand, Value)]
    if len(values) < 3 or any(len(operand.shape) != 2 for operand in values):
        raise layer.error(f"takes {_shapes(values)}, expected query, value and key of shape (steps, channels)")
    return values[0], values[1], values[2]


def _split(layer: Layer, role: str, x: Value, heads: int, length: int, factor: float = 1.0) -> Value:
    """Project (steps, channels) and split into heads: (heads, steps, length)."""
    projected = _projected(layer, role, x, heads, length, factor)
    split = layer.reshape(f"{role}/split", projected, (x.shape[0], heads, length))
    return layer.put(Permute(f"{role}/heads", (1, 0, 2)), split)


def _projected(layer: Layer, role: str, x: Value, heads: int, length: int, factor: float = 1.0) -> Value:
    kernel, bias = _weights(layer, role, role, x.shape[-1:], (heads, length))
    return layer.put(Dense(role, kernel * np.float32(factor), bias * np.float32(factor)), x)


def _weights(layer: Layer, attribute: str, name: str, inside: Shape, out: Shape) -> tuple[Array, Array]:
    """Kernel and bias of a projection, as a matrix and a vector.

    Args:
        layer: the attention layer.
        attribute: under which Keras 3 keeps the projection, less `_dense`; Keras 2 puts `_` before it.
        name: of the projection, which `.h5` files have.
        inside: axes that the projection sums over.
        out: axes that it gives.
    """
    if math.prod((*inside, *out)) > MAX_SIZE:
        raise layer.error(f"weights of shape {(*inside, *out)}; at most {MAX_SIZE:,} values are read")
    part = Part(f"{attribute}_dense", name)
    if layer.weights.shape(layer.owner, part, "kernel", 0) is None:
        part = replace(part, attributes=f"_{part.attributes}")
    roles = {"kernel": (*inside, *out), **({"bias": out} if layer.flag("use_bias") else {})}
    arrays = layer.read(roles, part)
    width = math.prod(out)
    return arrays["kernel"].reshape(-1, width), arrays.get("bias", np.zeros(out, np.float32)).reshape(-1)


def _output_shape(layer: Layer, query: Value) -> Shape:
    """Return the shape of one step of the result."""
    value = layer.settings.get("output_shape")
    if not value:
        return query.shape[-1:]
    return layer.sizes("output_shape", len(value) if isinstance(value, list) else 1)


# --- one head, without projections -----------------------------------------------------------------------------------


@converts("Attention")
def attention(layer: Layer) -> Value | tuple[Value, Value]:
    """Luong et al. 2015: scores are products of queries and keys, or sums of tanh(query + key)."""
    query, value, key = _listed(layer)
    layer.expect("score_mode", "dot", "concat")
    roles = ["scale"] if layer.settings.get("use_scale") else []
    if layer.settings.get("score_mode") == "concat":
        arrays = layer.read(dict.fromkeys([*roles, "concat_score_weight"], ()))
        factors = np.full(query.shape[-1], arrays["concat_score_weight"], np.float32)
        scores = _sums(layer, query, key, factors, arrays.get("scale"))
    else:
        scores = layer.matmul("products" if roles else "scores", query, key, transposed=True)
        if roles:
            scale = layer.constant("scale", layer.read({"scale": ()})["scale"].reshape(1, 1))
            scores = layer.binary("scores", "multiply", scores, scale)
    return _attended(layer, scores, value)


@converts("AdditiveAttention")
def additive_attention(layer: Layer) -> Value | tuple[Value, Value]:
    """Bahdanau et al. 2015: scores are weighted sums of tanh(query + key)."""
    query, value, key = _listed(layer)
    shape = query.shape[-1:]
    factors = layer.read({"scale": shape})["scale"] if layer.flag("use_scale") else np.ones(shape, np.float32)
    return _attended(layer, _sums(layer, query, key, factors), value)


def _listed(layer: Layer) -> tuple[Value, Value, Value]:
    """Return query, value and key of a layer that takes them as a list."""
    _refuse_masks(layer)
    values = layer.inputs
    if len(values) not in (2, 3) or any(len(operand.shape) != 2 for operand in values):
        raise layer.error(f"takes {_shapes(values)}, expected query, value and maybe key, of shape (steps, channels)")
    return values[0], values[1], values[-1]


def _sums(layer: Layer, query: Value, key: Value, factors: Array, scale: Array | None = None) -> Value:
    """`sum(factors * tanh(scale * (query + key)))` for every query and key."""
    (steps, channels) = query.shape
    others = key.shape[0]
    rows = layer.reshape("queries", query, (steps, 1, channels))
    columns = layer.reshape("keys", key, (1, others, channels))
    sums = layer.binary("sums", "add", rows, columns)
    if scale is not None:
        sums = layer.binary("scaled", "multiply", sums, layer.constant("scale", scale.reshape(1, 1, 1)))
    curved = layer.put(Unary("tanh", "tanh"), sums)
    scores = layer.put(Dense("scores", factors[:, None], np.zeros(1, np.float32)), curved)
    return layer.reshape("scores without channels", scores, (steps, others))


def _attended(layer: Layer, scores: Value, value: Value) -> Value | tuple[Value, Value]:
    weights = layer.put(Softmax("weights"), _masked(layer, scores))
    result = layer.matmul("", weights, value)
    return (result, weights) if layer.keywords.get("return_attention_scores") else result


def _shapes(values: Sequence[Value]) -> str:
    return ", ".join(str(value.shape) for value in values) or "nothing"


# --- masks -----------------------------------------------------------------------------------------------------------


def _refuse_masks(layer: Layer) -> None:
    """Reject masks that depend on the image, and dropout at inference."""
    masks = [name for name in _MASKS if _is_given(layer.keywords.get(name))]
    if masks:
        raise layer.unsupported(f"is called with {', '.join(masks)}; supported: none, or use_causal_mask")
    if layer.keras2 and layer.keywords.get("training") and layer.settings.get("dropout"):
        raise layer.unsupported("is called with training=True, so its dropout is random; leave that out")


def _is_given(mask: object) -> bool:
    return any(map(_is_given, mask)) if isinstance(mask, list) else mask is not None


def _masked(layer: Layer, scores: Value) -> Value:
    """Lower the scores of masked steps so that their weights are 0."""
    steps, others = scores.shape[-2:]
    rows, columns = np.ogrid[:steps, :others]
    seen = np.ones((steps, others), bool)
    if layer.keywords.get("use_causal_mask") or layer.settings.get("causal"):
        seen &= rows >= columns
    if layer.settings.get("sliding_window") is not None:
        seen &= abs(rows - columns) < layer.size("sliding_window")
    if seen.all():
        return scores
    if not seen.any(axis=1).all():
        raise layer.error("a query sees no step at all under its mask, because there are fewer keys than queries")
    mask = np.where(seen, 0, _MASKED).reshape((1,) * (len(scores.shape) - 2) + seen.shape)
    return layer.binary("masked", "add", scores, layer.constant("mask", mask.astype(np.float32)))


# --- positions -------------------------------------------------------------------------------------------------------


@converts("Embedding")
def embedding(layer: Layer) -> Value:
    """Rows of a table, looked up during conversion: the row numbers must be the same for every image."""
    x = layer.x
    layer.expect("mask_zero", False)
    rows = layer.builder.constant(x)
    if rows is None:
        raise layer.error("takes row numbers that depend on the image; supported: constants, such as positions")
    shape = (layer.size("input_dim"), layer.size("output_dim"))
    if math.prod(shape) > MAX_SIZE or rows.size * shape[1] > MAX_VALUES:
        raise layer.error(f"a table of shape {shape}; at most {MAX_SIZE:,} values are read")
    if not (_are_whole(rows) and rows.min() >= 0 and rows.max() < shape[0]):
        raise layer.error(f"takes rows {rows.min():g} to {rows.max():g} of a table with {shape[0]:,} rows")
    table = layer.read({"embeddings": shape})["embeddings"]
    return replace(layer.constant("", table[rows.astype(np.int64)]), batched=x.batched)


def _are_whole(numbers: Array) -> bool:
    return bool((numbers == np.floor(numbers)).all())
