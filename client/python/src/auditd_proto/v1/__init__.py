"""Generated from `proto/auditd/v1`."""
