"""Honest measuring on the device: what reading an image costs there, and what spoils a measurement."""
