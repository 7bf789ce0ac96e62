"""What a model file does not say of its model: completed from what the user declares, or measured on images."""
