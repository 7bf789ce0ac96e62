"""The network as a graph of primitives, independent of the source file and of the target."""
