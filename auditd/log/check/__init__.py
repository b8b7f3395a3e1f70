"""The checker: re-reads one log's evidence and rebuilds every hash, trusting stored bytes and a public key alone."""

from auditd.log.check._checker import LogReport, check_log, named_peers
from auditd.log.check._findings import Finding
from auditd.log.check._reading import EvidenceReader, evidence_reader, undisturbed
from auditd.log.check._repair import restore_lost_checksums
from auditd.log.check._unverified import unverified_leaves

__all__ = [
    "EvidenceReader",
    "Finding",
    "LogReport",
    "check_log",
    "evidence_reader",
    "named_peers",
    "restore_lost_checksums",
    "undisturbed",
    "unverified_leaves",
]
