"""Facts that a model file does not state about its model: declared by the user, or measured on images."""
