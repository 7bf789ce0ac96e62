"""The program `edge-crnn`."""
