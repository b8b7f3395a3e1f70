"""Other formats as events: one importer each, by name in `IMPORTERS`."""

from auditd_client.importers._source import (
    Importer,
    ImportFileError,
    PlacedEvent,
    find_files,
    read_text,
)
from auditd_client.importers.cloudtrail import CLOUDTRAIL

IMPORTERS = {importer.name: importer for importer in (CLOUDTRAIL,)}

__all__ = ["CLOUDTRAIL", "IMPORTERS", "ImportFileError", "Importer", "PlacedEvent", "find_files", "read_text"]
