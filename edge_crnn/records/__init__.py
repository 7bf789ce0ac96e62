"""What is measured, as JSON: each schema with its writer and its reader."""
