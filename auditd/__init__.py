"""The provable audit log: one process, one folder."""
