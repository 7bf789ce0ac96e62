"""Converts Keras layers: one module per family, which registers its functions in `builder.LAYERS`."""

from . import attention, convolution, dense, elementwise, merging, moving, normalisation, operations, recurrent, shaping

__all__ = [
    "attention", "convolution", "dense", "elementwise", "merging", "moving", "normalisation", "operations",
    "recurrent", "shaping",
]  # fmt: skip
