"""Measuring on images how pixels become the network's input and how its classes become text."""
