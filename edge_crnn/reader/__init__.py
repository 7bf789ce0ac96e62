"""Image → text.

| module | what it knows |
|---|---|
| `decoder` | the one rule by which a model's own decoder and the caller's wishes become one decoder |
| `decoding` | probabilities → readings |
| `reader` | engines, threads, and the order of things from pixels to readings |
| `opening` | names of models, and how a reader is opened |
"""

from __future__ import annotations

from ..images import Image
from .decoder import MOST
from .opening import DEFAULT_MODEL, load, open_reader, read
from .reader import Reader, usable_cores

__all__ = ["DEFAULT_MODEL", "MOST", "Image", "Reader", "load", "open_reader", "read", "usable_cores"]
