"""Graph → `.tflite`: `to_tflite.to_tflite` is the entry.

From the file upwards: `writer` knows the format, `versions` and `quantisation` two of its rules; `ops` puts single ops
together in any precision. `linear`, `elements`, `maps`, `moves`, `sampler`, and `recurrent` with its `cells`, lower one
primitive each function; `lowering` lists them, and `precision` decides what is int8.
"""
