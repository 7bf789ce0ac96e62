"""A trained model's file → graph, without running code from the file."""
