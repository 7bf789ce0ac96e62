"""What a model file says about itself: the spec, and where each format keeps it."""
