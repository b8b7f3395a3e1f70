"""The checker: re-reads one log's evidence and rebuilds every hash, trusting stored bytes and a public key alone."""

from auditd.log.check._checker import LogReport, check_log, named_peers
from auditd.log.check._findings import Finding
from auditd.log.check._reading import EvidenceReader, evidence_reader
from auditd.log.check._repair import restore_lost_checksums

__all__ = [
    "EvidenceReader",
    "Finding",
    "LogReport",
    "check_log",
    "evidence_reader",
    "named_peers",
    "restore_lost_checksums",
]
