"""`auditlog token issue DIR`: tokens from a folder's own issuer, without a server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from auditd.cli._errors import folder_errors


def issue_from_folder(folder: Path, subject: str, roles: Sequence[str], ttl_s: int, certificate_sha256: bytes) -> str:
    """Return a token from the keys in a server folder; nothing records that.

    Raises CommandError for a folder or request that is unfit.
    """
    from auditd.server import load_config, local_issuer

    with folder_errors():
        config = load_config(folder)
        issuer = local_issuer(config)
        return issuer.issue(subject, roles, ttl_s, config.audience, time.time(), certificate_sha256=certificate_sha256)
