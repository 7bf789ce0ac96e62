"""The network as a graph of primitives, whatever file it came from and whatever it becomes."""
