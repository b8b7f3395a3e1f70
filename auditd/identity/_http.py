"""One strict GET: of a small document, within a time, from the host that was asked for."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from auditd.identity._urls import check_url, same_host

if TYPE_CHECKING:
    import httpx

_MAX_REDIRECTS = 3
_NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class FetchError(Exception):
    """A document could not be had; the message says why, without anything of its content."""


@dataclass(frozen=True, slots=True)
class Document:
    """What was fetched.

    `max_age_s` is how long its server says that it is good: 0 for not at all, None where it does not say.
    `clock_ahead_s` is how far the server's clock is ahead of ours, None where it does not tell.
    """

    content: bytes
    max_age_s: int | None
    clock_ahead_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """How documents are fetched; `timeout_s` is for all that one attempt takes, redirects included."""

    timeout_s: float
    max_bytes: int
    allow_plain_http: bool
    ca_file: Path | None


async def fetch(url: str, rules: FetchRules) -> Document:
    """Get a document whose address was checked by `check_url`.

    Redirects are followed within one host, scheme and port, at most 3. Nothing compressed is accepted.

    Raises FetchError: with the reason, whatever it is.
    """
    # Here, for it takes 19 MB and a tenth of a second, and servers that read keys from files need it not.
    import httpx

    try:
        async with asyncio.timeout(rules.timeout_s):
            secure = url.startswith("https://")
            # Reading whom the system trusts takes tens of milliseconds, so it is done aside, and only where needed.
            context = await asyncio.to_thread(_tls, rules.ca_file) if secure else _NO_TRUST
            # A proxy of the environment is for the way out; loopback is not that.
            async with httpx.AsyncClient(verify=context, timeout=rules.timeout_s, trust_env=secure) as client:
                return await _follow(client, url, rules)
    except TimeoutError as error:
        raise FetchError(f"no answer within {rules.timeout_s:g} s") from error
    except httpx.TimeoutException as error:
        raise FetchError(f"no answer within {rules.timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise FetchError(f"cannot be reached: {_cause(error)}") from error


async def _follow(client: httpx.AsyncClient, url: str, rules: FetchRules) -> Document:
    for _ in range(_MAX_REDIRECTS + 1):
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "auditd"}
        async with client.stream("GET", url, headers=headers) as response:
            if not response.has_redirect_location:
                return await _read(response, rules)
            target = urljoin(url, response.headers["location"])
        if not same_host(url, target):
            raise FetchError("redirects to another host, scheme or port, which is not followed")
        try:
            check_url(target, allow_plain_http=rules.allow_plain_http)
        except ValueError as error:
            raise FetchError(f"redirects to no good address: {error}") from error
        url = target
    raise FetchError(f"redirects more than {_MAX_REDIRECTS} times")


async def _read(response: httpx.Response, rules: FetchRules) -> Document:
    if response.status_code != 200:
        raise FetchError(f"answers with status {response.status_code}, expected 200")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("answers compressed, which was not asked for")
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > rules.max_bytes:
            raise FetchError(f"answers more than {rules.max_bytes} bytes, which is the limit")
    return Document(bytes(content), max_age_s(response.headers), _clock_ahead_s(response.headers))


def max_age_s(headers: Mapping[str, str]) -> int | None:
    """Return how long an answer is good by its `Cache-Control`, less its `Age` (RFC 9111); None if it does not say."""
    directives = [part.strip().lower() for part in headers.get("cache-control", "").split(",")]
    if "no-store" in directives or "no-cache" in directives:
        return 0
    ages = [match[1] for part in directives if (match := re.fullmatch(r'max-age="?(\d{1,10})"?', part))]
    if not ages:
        return None
    age = headers.get("age", "0")
    return max(0, int(ages[0]) - (int(age) if re.fullmatch(r"\d{1,10}", age) else 0))


def _clock_ahead_s(headers: Mapping[str, str]) -> float | None:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() - time.time()
    except (KeyError, ValueError, OverflowError):
        return None


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _cause(error: BaseException) -> str:
    """Return what is known of why a connection failed; libraries leave it to the causes of their errors."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(texts) < 4:
        if str(cause):
            texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    return (texts[-1] if texts else type(error).__name__)[:200]
