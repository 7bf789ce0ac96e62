"""Watches a camera: finds plates in its frames, reads them, and reports one event per vehicle."""
