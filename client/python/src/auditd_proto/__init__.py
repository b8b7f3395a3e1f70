"""Messages and service stubs generated from `proto/`; see `auditd_proto.v1`."""
