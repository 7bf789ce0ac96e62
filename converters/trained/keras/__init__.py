"""`.keras` and `.h5`: what the configuration says, and the weights that belong to it."""
