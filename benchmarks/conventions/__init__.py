"""Ten small networks, each of another kind and trained with another convention of preparing its images."""
