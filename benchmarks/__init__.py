"""Measurements of a real server, each beside the limit it is held against; `python -m benchmarks`."""
