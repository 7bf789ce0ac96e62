"""Drawing what a CRNN is trained, calibrated and verified with, and training it."""
