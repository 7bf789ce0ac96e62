"""What every Keras layer becomes: one module per family, which enters its functions in `builder.LAYERS`."""

from . import attention, convolution, dense, elementwise, merging, moving, normalisation, operations, recurrent, shaping

__all__ = [
    "attention", "convolution", "dense", "elementwise", "merging", "moving", "normalisation", "operations",
    "recurrent", "shaping",
]  # fmt: skip
