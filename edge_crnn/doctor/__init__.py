"""What a machine needs to read with edge-crnn: what is there, what is not, and what to type."""
