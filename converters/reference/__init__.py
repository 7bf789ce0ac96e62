"""Runs the trained model in its own framework, as the reference for every artifact."""
