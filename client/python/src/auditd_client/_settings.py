"""Settings from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditd_client.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a log; the command line and programs share it.

    - `address`: `HOST:PORT`, or None if not set.
    - `token`: the JWT that each call carries; never shown.
    - `ca`: path of a PEM file with the certificates to trust.
    - `certificate`: path of a PEM file with the client's certificate chain, for mutual TLS.
    - `private_key`: path of a PEM file with its private key.
    - `key`: the log's verifier key, its vkey line.
    - `log`: name of the log.
    """

    address: str | None = None
    token: str | None = field(default=None, repr=False)
    ca: str | None = None
    key: str | None = None
    log: str = "main"
    certificate: str | None = None
    private_key: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read `AUDITLOG_ADDRESS`, `_TOKEN`, `_CA`, `_CERTIFICATE`, `_PRIVATE_KEY`, `_KEY` and `_LOG`.

        Empty ones count as absent.
        """
        variables = os.environ if environment is None else environment
        return cls(
            address=variables.get("AUDITLOG_ADDRESS") or None,
            token=variables.get("AUDITLOG_TOKEN") or None,
            ca=variables.get("AUDITLOG_CA") or None,
            key=variables.get("AUDITLOG_KEY") or None,
            log=variables.get("AUDITLOG_LOG") or "main",
            certificate=variables.get("AUDITLOG_CERTIFICATE") or None,
            private_key=variables.get("AUDITLOG_PRIVATE_KEY") or None,
        )

    def required_address(self) -> str:
        """Return the address.

        Raises SettingsError if there is none.
        """
        if self.address is None:
            raise SettingsError("no address: set AUDITLOG_ADDRESS to HOST:PORT")
        return self.address

    def client_options(self) -> dict[str, Any]:
        """Return all but address and token as keyword arguments of a client."""
        return {
            "log": self.log,
            "key": self.key,
            "ca": self.ca,
            "certificate": self.certificate,
            "private_key": self.private_key,
        }
