"""Exports as files that other programs read: JSON Lines, CSV, Parquet; resumable, checksummed, verified offline."""

from auditd_client.exports._folder import DEFAULT_ROUND_BYTES, export_to_folder
from auditd_client.exports._lines import Csv, JsonLines, zstd_to
from auditd_client.exports._manifest import MANIFEST_NAME, Form, Manifest, Part, Request, read_manifest
from auditd_client.exports._partition import DEFAULT_ACCOUNT, DEFAULT_REGION, Partitions
from auditd_client.exports._verify import VerifiedExport, verify_export

__all__ = [
    "DEFAULT_ACCOUNT",
    "DEFAULT_REGION",
    "DEFAULT_ROUND_BYTES",
    "MANIFEST_NAME",
    "Csv",
    "Form",
    "JsonLines",
    "Manifest",
    "Part",
    "Partitions",
    "Request",
    "VerifiedExport",
    "export_to_folder",
    "read_manifest",
    "verify_export",
    "zstd_to",
]
