"""The commands that `edge-crnn` has on a workstation, one module each: their arguments and their output."""
