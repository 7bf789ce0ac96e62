"""Verifies the claims about TensorRT engines on a machine with a GPU."""
