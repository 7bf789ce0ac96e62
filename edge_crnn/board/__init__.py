"""Facts about the machine and its present state, read from its own files."""
