"""What the machine is and how it is doing, as its own files tell."""
