"""Where a server listens: on loopback in plaintext, elsewhere with TLS."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence
from functools import partial

import grpc

from auditd.errors import FolderError
from auditd.server._config import Config
from auditd.server._tls import TlsFiles


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


def listen_on(servers: Sequence[grpc.aio.Server], config: Config, listen: str) -> list[str]:
    """Have servers share addresses; return those with their ports, the second is for clients without a certificate.

    Raises FolderError: `PORT_TAKEN`, `TLS_INVALID`.
    """
    tls = config.tls
    if tls is None:
        return [_share(servers, listen, lambda server, address: server.add_insecure_port(address))]
    addresses = [_share(servers, listen, TlsFiles(tls, certificates=tls.client_ca is not None).add_port)]
    if tls.listen_without_certificate is not None:
        files = TlsFiles(tls, certificates=False)
        addresses.append(_share(servers, tls.listen_without_certificate, files.add_port))
    return addresses


def _share(servers: Sequence[grpc.aio.Server], address: str, add_port: Callable[[grpc.aio.Server, str], int]) -> str:
    require_free(address)
    for server in servers:
        # The first one finds the port where any is to do.
        address = _add(address, partial(add_port, server, address))
    return address


def require_free(address: str) -> None:
    """Raise FolderError `PORT_TAKEN` where someone else listens: ports are shared among our own servers alone."""
    host, _, port = address.rpartition(":")
    try:
        kind, _, _, _, place = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise _taken(address) from error
        # Whatever else is wrong with the address, gRPC says when it is asked to listen there.


def _add(address: str, add: Callable[[], int]) -> str:
    try:
        port = add()
    except RuntimeError as error:
        raise _taken(address) from error
    return f"{address.rpartition(':')[0]}:{port}"


def _taken(address: str) -> FolderError:
    return FolderError("PORT_TAKEN", f"listen: cannot listen on {address}; is the port in use?")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
