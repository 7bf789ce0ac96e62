"""TensorRT: runs engines, builds them in a process of their own, and caches them."""
