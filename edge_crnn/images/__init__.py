"""Turns images of any kind into pixels: uint8, (H, W) grey or (H, W, 3) BGR, upright.

    source       a path, bytes, a file, a Pillow image or an array → pixels
    decode       the bytes of an image file → pixels, and whether the file is damaged
    formats/     one module per format: its header, signs of damage, and parts that the image library would misread
    limits       limits on the size of an image
    pixels       arrays of other forms → pixels
    pillow       Pillow images → pixels

OpenCV decodes; it is imported with the first image file.
"""

from .limits import Limits, set_limits
from .pixels import Pixels, as_pixels, from_rgb
from .source import SUFFIXES, Image, decode_image, load_image, read_content, read_image, read_pixels

__all__ = [
    "SUFFIXES",
    "Image",
    "Limits",
    "Pixels",
    "as_pixels",
    "decode_image",
    "from_rgb",
    "load_image",
    "read_content",
    "read_image",
    "read_pixels",
    "set_limits",
]
