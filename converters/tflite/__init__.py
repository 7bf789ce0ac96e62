"""Graph → `.tflite`."""
