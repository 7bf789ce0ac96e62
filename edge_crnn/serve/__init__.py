"""Runs a reader as a service: arriving files, a journal that survives a kill, and systemd."""
