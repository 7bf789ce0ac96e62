"""Reads `.keras` and `.h5` files: the configuration and its weights.

A file with the user's own layers (`--layers FILE`, see `custom`) imports its tools from here.
"""

from .builder import Layer, Value
from .file import Part

__all__ = ["Layer", "Part", "Value"]
