"""Lowers a graph to `.onnx`."""
