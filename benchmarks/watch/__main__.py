"""Starts the benchmark."""

from .run import main

main()
