"""Slimming: a network with fewer channels and units that reads the same text."""
