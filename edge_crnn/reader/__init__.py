"""Image → text.

| module | contents |
|---|---|
| `decoder` | the choice of a decoder from the model's own and the caller's options |
| `decoding` | probabilities → readings |
| `reader` | engines, threads, and the steps from pixels to readings |
| `several` | the check that an argument is several images |
| `stream` | parallel work whose results come in order, none later than necessary |
| `opening` | names of models, and opening a reader |
"""

from __future__ import annotations

from ..images import Image
from .decoder import MOST
from .opening import DEFAULT_MODEL, load, open_reader, read
from .reader import Reader

__all__ = ["DEFAULT_MODEL", "MOST", "Image", "Reader", "load", "open_reader", "read"]
