"""TensorRT: runs engines, builds them in a separate process, and caches them."""
