"""The filter room."""
