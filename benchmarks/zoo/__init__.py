"""Trained networks of kinds other than the project's own, and whether their artifacts pass the gate."""
