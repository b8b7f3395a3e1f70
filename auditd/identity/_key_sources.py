"""Where an issuer's keys come from: a file, an HTTPS URL, or what OpenID Connect Discovery names."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auditd.identity._http import Document, FetchError, FetchRules, fetch
from auditd.identity._issuer import IssuerConfig, read_jwks_file
from auditd.identity._jwks import MAX_JWKS_BYTES, KeySet, parse_jwks
from auditd.identity._strict import parse_json_object, shown
from auditd.identity._urls import check_url

FILE_POLL_S = 2
_WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A key set as it is now, and when it is to be asked for again; `key_set` is None for one that did not change."""

    key_set: KeySet | None
    next_in_s: int
    clock_ahead_s: float | None = None


class KeySource(Protocol):
    """Gives an issuer's key set.

    `min_age_s` is the shortest time between two attempts that tokens of unknown keys bring about.
    """

    min_age_s: int

    async def fetch(self) -> Fetched:
        """Return the key set as it is now; raise FetchError, and nothing else, where it cannot be had."""


class FileSource:
    """A key set in a file, read again when the file has changed."""

    min_age_s = 1

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, ...] | None = None

    async def fetch(self) -> Fetched:
        """Read the file if it is another one, or another size or time, than before."""
        try:
            return Fetched(await asyncio.to_thread(self._read), FILE_POLL_S)
        except OSError as error:
            raise FetchError(f"cannot be read: {error.strerror}") from error

    def _read(self) -> KeySet | None:
        # Asked before it is read: what is written meanwhile is seen the next time.
        status = os.stat(self._file)  # noqa: PTH116 -- one call for all of it
        seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if seen == self._seen:
            return None
        key_set = _parse(read_jwks_file(self._file))
        self._seen = seen
        return key_set


class UrlSource:
    """A key set at a fixed URL."""

    def __init__(self, config: IssuerConfig) -> None:
        self.min_age_s = config.jwks_min_age_s
        self._config = config
        self._rules = FetchRules(
            timeout_s=config.jwks_timeout_s,
            max_bytes=MAX_JWKS_BYTES,
            allow_plain_http=config.allow_plain_http,
            ca_file=config.ca_file,
        )

    async def fetch(self) -> Fetched:
        """Get the key set from its address."""
        document = await fetch(await self._address(), self._rules)
        key_set = await asyncio.to_thread(_parse, document.content)
        return Fetched(key_set, self._next_in_s(document), document.clock_ahead_s)

    def _next_in_s(self, document: Document) -> int:
        longest = self._config.jwks_max_age_s
        wanted = longest if document.max_age_s is None else document.max_age_s
        return max(self._config.jwks_min_age_s, min(wanted, longest))

    async def _address(self) -> str:
        assert self._config.jwks_url is not None
        return self._config.jwks_url


class DiscoverySource(UrlSource):
    """A key set whose URL the issuer's own metadata names (OpenID Connect Discovery 1.0 section 4)."""

    async def _address(self) -> str:
        issuer = self._config.issuer
        document = await fetch(issuer.removesuffix("/") + _WELL_KNOWN, self._rules)
        try:
            metadata = parse_json_object(document.content)
        except ValueError as error:
            raise FetchError(f"metadata: {error}") from error
        if metadata.get("issuer") != issuer:
            # Section 4.3: else another issuer's metadata could stand in for it.
            raise FetchError(f"metadata: issuer: {shown(metadata.get('issuer'))}, expected exactly the configured one")
        address = metadata.get("jwks_uri")
        if not isinstance(address, str):
            raise FetchError("metadata: jwks_uri: missing or no string")
        try:
            check_url(address, allow_plain_http=self._config.allow_plain_http)
        except ValueError as error:
            raise FetchError(f"metadata: jwks_uri: {error}") from error
        return address


def _parse(jwks: bytes) -> KeySet:
    try:
        return parse_jwks(jwks)
    except ValueError as error:
        raise FetchError(str(error)) from error


def key_source(config: IssuerConfig) -> KeySource:
    """Return the source that an issuer's configuration names."""
    if config.jwks_file is not None:
        return FileSource(config.jwks_file)
    return DiscoverySource(config) if config.discovery else UrlSource(config)
