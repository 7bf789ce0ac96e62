"""Lowers a graph to an ordinary Keras model, the opposite of `converters.trained.keras`.

`place` writes single layers and operations. Every function in `elements`, `maps`, `moves` and `recurrent` lowers one
primitive; `lowering` lists these functions.
"""

from .to_keras import save_keras, to_keras, write_keras

__all__ = ["save_keras", "to_keras", "write_keras"]
