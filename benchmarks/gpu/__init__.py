"""What is said of TensorRT engines, shown on a machine with a GPU."""
