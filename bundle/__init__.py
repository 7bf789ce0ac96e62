"""Bundles: all that a board without a network needs, in one tar."""
