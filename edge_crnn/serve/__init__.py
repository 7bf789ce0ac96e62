"""What a reader needs to run as a service: files that arrive, a journal that outlives a kill, and systemd."""
