"""The network as layers with their weights and shapes, whatever file it came from and whatever it becomes."""
