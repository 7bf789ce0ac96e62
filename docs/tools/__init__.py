"""Scripts that build the documentation site."""
