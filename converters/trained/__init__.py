"""Turns the file of a trained model into a graph, without running code from the file."""
