"""`.onnx` → `.engine`, on the machine that it is for."""
