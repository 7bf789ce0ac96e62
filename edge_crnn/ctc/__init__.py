"""Connectionist temporal classification: decodes class probabilities per time step into class indices.

Only this package knows about the blank and the skipped time steps. It needs NumPy only.
"""

from __future__ import annotations

from .beam import beam, search
from .decoded import Decoded, Form, Scored
from .forward import posterior
from .fuse import Fused, fuse
from .grammar import Grammar
from .grammars import GRAMMARS
from .greedy import best_path, greedy
from .lexicon import Lexicon, parse_labels, steps_of
from .prior import Prior
from .settings import Search
from .tf_beam import tf_beam

__all__ = [
    "GRAMMARS",
    "Decoded",
    "Form",
    "Fused",
    "Grammar",
    "Lexicon",
    "Prior",
    "Scored",
    "Search",
    "beam",
    "best_path",
    "fuse",
    "greedy",
    "parse_labels",
    "posterior",
    "search",
    "steps_of",
    "tf_beam",
]
