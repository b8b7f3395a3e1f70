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
    - `key`: the log's verifier key, its vkey line.
    - `log`: name of the log.
    """

    address: str | None = None
    token: str | None = field(default=None, repr=False)
    ca: str | None = None
    key: str | None = None
    log: str = "main"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read `AUDITLOG_ADDRESS`, `_TOKEN`, `_CA`, `_KEY` and `_LOG`; empty ones count as absent."""
        variables = os.environ if environment is None else environment
        return cls(
            address=variables.get("AUDITLOG_ADDRESS") or None,
            token=variables.get("AUDITLOG_TOKEN") or None,
            ca=variables.get("AUDITLOG_CA") or None,
            key=variables.get("AUDITLOG_KEY") or None,
            log=variables.get("AUDITLOG_LOG") or "main",
        )

    def required_address(self) -> str:
        """Return the address.

        Raises SettingsError if there is none.
        """
        if self.address is None:
            raise SettingsError("no address: set AUDITLOG_ADDRESS to HOST:PORT")
        return self.address

    def client_options(self) -> dict[str, Any]:
        """Return `log`, `key` and `ca` as keyword arguments of a client."""
        return {"log": self.log, "key": self.key, "ca": self.ca}
