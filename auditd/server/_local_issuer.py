"""The folder's own issuer of tokens."""

from __future__ import annotations

from auditd.identity import LocalIssuer
from auditd.server._config import ISSUER_KEY_NAME, Config


def local_issuer(config: Config) -> LocalIssuer:
    """Load the folder's own issuer."""
    return LocalIssuer.load(config.local_issuer_name, config.keys / ISSUER_KEY_NAME, config.local_issuer.max_lifetime_s)
