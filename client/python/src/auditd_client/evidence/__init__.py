"""Evidence packages: one file with entries, their proof, a report, and all that is needed to verify it offline."""

from auditd_client.evidence._build import NothingToProveError, Selection, write_package
from auditd_client.evidence._layout import Manifest, PackedFile
from auditd_client.evidence._verify import VerifiedPackage, verify_package

__all__ = [
    "Manifest",
    "NothingToProveError",
    "PackedFile",
    "Selection",
    "VerifiedPackage",
    "verify_package",
    "write_package",
]
