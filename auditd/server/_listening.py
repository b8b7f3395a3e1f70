"""Where a server listens: on loopback in plaintext, elsewhere with TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import grpc

from auditd.errors import FolderError
from auditd.server._config import Config
from auditd.server._tls import add_tls_port


def require_listen(listen: str, setting: str = "listen") -> str:
    """Return the host of an address to listen on; raise FolderError `LISTEN_INVALID` unless it is `HOST:PORT`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise FolderError("LISTEN_INVALID", f"{setting}: {listen!r}, must be HOST:PORT")
    return host


def require_safe(listen: str, *, has_tls: bool, insecure: bool) -> None:
    """Raise FolderError unless `listen` is an address on which tokens would not travel in the clear."""
    host = require_listen(listen)
    if not has_tls and not insecure and not _is_loopback(host):
        raise FolderError(
            "PLAINTEXT_REFUSED",
            f"listen: {listen} is not loopback and no TLS is configured; add a [tls] table to auditd.toml,"
            " or ask for plaintext by name: --insecure",
        )


def require_http_safe(listen: str, *, allowed: bool) -> None:
    """Raise FolderError unless the listener for metrics is on loopback, or was allowed elsewhere by name."""
    host = require_listen(listen, "http")
    if not allowed and not _is_loopback(host):
        raise FolderError(
            "PLAINTEXT_REFUSED",
            f"http: {listen} is not loopback, and it answers anyone, in plaintext and without a token;"
            " if that is meant, set allow_remote in the table [http] of auditd.toml",
        )


def listen_on(server: grpc.aio.Server, config: Config, listen: str) -> list[str]:
    """Have the server listen; return the addresses with their ports, the second is for clients without a certificate.

    Raises FolderError: `PORT_TAKEN`, `TLS_INVALID`.
    """
    tls = config.tls
    if tls is None:
        return [_add(listen, lambda: server.add_insecure_port(listen))]
    certificates = tls.client_ca is not None
    addresses = [_add(listen, lambda: add_tls_port(server, listen, tls, certificates=certificates))]
    other = tls.listen_without_certificate
    if other is not None:
        addresses.append(_add(other, lambda: add_tls_port(server, other, tls, certificates=False)))
    return addresses


def _add(address: str, add: Callable[[], int]) -> str:
    try:
        port = add()
    except RuntimeError as error:
        raise FolderError("PORT_TAKEN", f"listen: cannot listen on {address}; is the port in use?") from error
    return f"{address.rpartition(':')[0]}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
