"""Lowers a graph to `.tflite`; the entry point is `to_tflite.to_tflite`.

From the file upwards: `writer` implements the format, `versions` and `quantisation` two of its rules; `ops` writes
single ops in any precision. Every function in `linear`, `elements`, `maps`, `moves`, `sampler`, and `recurrent` with
`cells` lowers one primitive; `lowering` lists these functions, and `precision` decides what is int8.
"""
