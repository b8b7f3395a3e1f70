"""The entry room."""
