"""Certificates in files."""

from __future__ import annotations

from pathlib import Path

from auditd_client.cli._errors import CommandError


def certificate_sha256(file: Path) -> bytes:
    """Return the SHA-256 of the first certificate (DER) in a PEM file, 32 bytes.

    Raises CommandError for a file that cannot be read or holds none.
    """
    # Not at the top: most uses of most commands do not need it.
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        return x509.load_pem_x509_certificate(file.read_bytes()).fingerprint(SHA256())
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{file}: holds no certificate in PEM") from error
