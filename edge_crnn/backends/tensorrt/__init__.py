"""TensorRT: an engine, how one is built in a process of its own, and where it is kept."""
