"""Checks whether a machine can read with edge-crnn, and says what to type where something is missing."""
