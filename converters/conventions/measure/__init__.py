"""Measures on images what a model file does not say: how pixels become the network's input, and classes become text."""
