"""Which addresses keys may be fetched from."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

MAX_URL_BYTES = 2_048


def check_url(url: str, *, allow_plain_http: bool) -> None:
    """Do nothing for an address that may be asked: HTTPS, or plain http to loopback where that is allowed.

    Raises ValueError: with the broken rule.
    """
    if len(url) > MAX_URL_BYTES or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError(f"expected a URL of at most {MAX_URL_BYTES} printable ASCII characters")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("expected a URL that begins with https://")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("a URL with a user's name, password or fragment is not allowed")
    try:
        parts.port  # noqa: B018 -- raises for a port that is none
    except ValueError:
        raise ValueError("the port is no number from 0 to 65535") from None
    if parts.scheme == "http" and not (allow_plain_http and _is_loopback(parts.hostname)):
        rule = "for loopback addresses only" if allow_plain_http else "only for loopback, with allow_plain_http = true"
        raise ValueError(f"plain http is allowed {rule}; expected https")


def same_host(one: str, other: str) -> bool:
    """Whether two URLs have scheme, host and port in common."""
    return _host(one) == _host(other)


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
