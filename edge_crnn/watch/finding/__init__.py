"""Finds plates in frames: where something changes, what looks like a plate there, and what the reader makes of it."""
