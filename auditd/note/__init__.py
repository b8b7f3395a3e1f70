"""The note room."""
