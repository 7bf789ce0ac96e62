"""Whether an artifact reads the same text as the trained model, and where it parts from it if not."""
