"""Ten small networks of different kinds, trained with different conventions of preparing images."""
