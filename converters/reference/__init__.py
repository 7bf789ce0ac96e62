"""The trained model itself, run by its own framework: what an artifact is held to."""
