"""Measuring on the device: the cost of reading an image there, and what makes a measurement unreliable."""
