"""Street scenes with known plates, and what `edge_crnn.watch` reports of them."""
