"""Bundles: everything that a board without a network needs, in a tar."""
