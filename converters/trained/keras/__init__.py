"""`.keras` and `.h5`: what the configuration says, and the weights that belong to it.

A file of the user's own layers (`--layers FILE`, see `custom`) imports from here what it works with.
"""

from .builder import Layer, Value
from .file import Part

__all__ = ["Layer", "Part", "Value"]
