"""Renders images to train, calibrate and verify a CRNN with, and trains it."""
