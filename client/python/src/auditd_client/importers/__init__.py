"""Other formats as events: one mechanism, and a mapping for each format (`mappings/`)."""

from auditd_client.importers._errors import ImportFileError, MappingError
from auditd_client.importers._importer import BadLine, Imported, Importer, PlacedEvent, find_files
from auditd_client.importers._mapping import Mapping, built_in_text, parse_mapping
from auditd_client.importers._source import STDIN, Source, opened

FORMATS = {
    "jsonl": "JSON Lines with the names of an event.",
    "cloudtrail": "AWS CloudTrail log files, as CloudTrail delivers them.",
    "kubernetes": "Kubernetes audit logs, audit.k8s.io/v1.",
    "github": "GitHub audit log, exported as JSON.",
    "okta": "Okta System Log, as its API gives it.",
    "linux-audit": "The log of the Linux audit daemon (audit.log).",
    "syslog": "Syslog messages of RFC 5424, one a line.",
}
"""The formats that come with the client and what they are, without reading their mappings."""


def importer(name: str) -> Importer:
    """Return the importer of one of FORMATS."""
    return Importer(parse_mapping(built_in_text(name)))


__all__ = [
    "FORMATS",
    "STDIN",
    "BadLine",
    "ImportFileError",
    "Imported",
    "Importer",
    "Mapping",
    "MappingError",
    "PlacedEvent",
    "Source",
    "built_in_text",
    "find_files",
    "importer",
    "opened",
    "parse_mapping",
]
