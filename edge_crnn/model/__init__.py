"""The description that a model file carries: the spec, and its place in each format."""
