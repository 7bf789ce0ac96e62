"""Graph → `.onnx`."""
