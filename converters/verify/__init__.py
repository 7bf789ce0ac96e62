"""Checks that an artifact reads the same text as the trained model, and finds the layer to blame if it does not."""
