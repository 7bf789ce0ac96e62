"""Connectionist temporal classification: from class probabilities per time step to class indices.

The only place that knows the blank and the skipped steps. NumPy only.
"""

from __future__ import annotations

from .beam import beam
from .decoded import Decoded
from .forward import posterior
from .greedy import greedy

__all__ = ["Decoded", "beam", "greedy", "posterior"]
