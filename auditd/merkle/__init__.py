"""The merkle room."""
