"""Builds an `.engine` from an `.onnx`, on the machine that will run it."""
