"""The commands that `edge-crnn` has on a workstation, one module each: what is asked for, and what is told."""
