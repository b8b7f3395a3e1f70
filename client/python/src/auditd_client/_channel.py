"""Where a client connects to, how the connection is protected, and what each call carries."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from auditd_client._probe import probe
from auditd_client.errors import SettingsError, UnreachableError

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\]@]+)):(?P<port>[0-9]{1,5})", re.ASCII)
_TOKEN = re.compile(r"[!-~]+", re.ASCII)

# Retrying is done above gRPC, which does not know RetryInfo; and a client should find a server
# that was restarted within seconds, where gRPC would wait up to two minutes.
_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Clients of one process would share a connection, which has room for only so many calls at once.
    ("grpc.use_local_subchannel_pool", 1),
)
# A proxy would carry a plaintext token off this machine.
_PLAINTEXT_OPTIONS = (*_OPTIONS, ("grpc.enable_http_proxy", 0))


@dataclass(frozen=True, slots=True)
class Target:
    """An address `HOST:PORT` and the credentials for TLS, None for plaintext."""

    address: str
    credentials: Any
    has_certificate: bool = False

    def open(self) -> Any:  # noqa: ANN401 - grpc has no types
        """Return a new channel for synchronous calls; it connects with the first call."""
        if self.credentials is None:
            return grpc.insecure_channel(self.address, options=_PLAINTEXT_OPTIONS)
        return grpc.secure_channel(self.address, self.credentials, options=_OPTIONS)

    def misfit(self, error: UnreachableError) -> SettingsError | None:
        """Return what is wrong with the settings if that is why no server was reached; may take a second or two."""
        if "CERTIFICATE_VERIFY_FAILED" in error.message or "ostname" in error.message:
            return SettingsError(f"ca: does not vouch for the server at {self.address}: {_reason(error.message)}")
        speaks = probe(self.address)
        if self.credentials is None:
            if not speaks.startswith("tls"):
                return None
            return SettingsError(f"ca: is missing, and the server at {self.address} speaks TLS")
        if speaks == "plaintext":
            return SettingsError(f"address: the server at {self.address} speaks no TLS: leave out ca and certificate")
        if speaks == "tls with client certificates" and not self.has_certificate:
            return SettingsError(f"certificate: is missing, and the server at {self.address} asks for one")
        return None

    def open_async(self) -> Any:  # noqa: ANN401 - grpc has no types
        """Return a new channel for asyncio; it connects with the first call."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, options=_PLAINTEXT_OPTIONS)
        return grpc.aio.secure_channel(self.address, self.credentials, options=_OPTIONS)


def make_target(
    address: str,
    *,
    ca: bytes | str | Path | None,
    certificate: bytes | str | Path | None,
    private_key: bytes | str | Path | None,
    insecure: bool,
) -> Target:
    """Return the target for `address`, with PEM certificates as bytes or as the path of a file.

    Plaintext is for this machine alone: a loopback address without `ca` or `certificate`; anywhere
    else only if `insecure` says so. Without `ca` the roots of the system are trusted.

    Raises SettingsError if a setting is malformed, contradicts another, or a file cannot be read.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65_535:
        raise SettingsError(f"address: {address[:128]!r}, expected HOST:PORT such as 127.0.0.1:7443")
    if (certificate is None) != (private_key is None):
        raise SettingsError("certificate and private_key belong together: give both or none")
    wants_tls = ca is not None or certificate is not None
    if insecure and wants_tls:
        raise SettingsError("insecure contradicts ca and certificate: give one or the other")
    if insecure or (not wants_tls and _is_loopback(match["ipv6"] or match["host"])):
        return Target(address, None)
    return Target(
        address,
        grpc.ssl_channel_credentials(
            root_certificates=_pem("ca", ca),
            private_key=_pem("private_key", private_key),
            certificate_chain=_pem("certificate", certificate),
        ),
        has_certificate=certificate is not None,
    )


def _reason(message: str) -> str:
    """Return the last part of what gRPC says of each address that it tried."""
    return message.rpartition("last error: ")[2][:256]


def bearer(token: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata that carries `token`; space around it, as at the end of a file, is dropped.

    Raises SettingsError if it holds what no token can hold. The message does not quote it.
    """
    if token is None:
        return ()
    token = token.strip()
    # Refused here, because gRPC would quote the whole header in its own message.
    if not _TOKEN.fullmatch(token):
        raise SettingsError("token: empty, or not printable ASCII without spaces")
    return (("authorization", f"Bearer {token}"),)


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pem(name: str, source: bytes | str | Path | None) -> bytes | None:
    if source is None:
        return None
    if isinstance(source, bytes):
        pem = source
    else:
        try:
            pem = Path(source).read_bytes()
        except OSError as error:
            raise SettingsError(f"{name}: cannot read {str(source)!r}: {error.strerror}") from error
    if b"-----BEGIN " not in pem:
        raise SettingsError(f"{name}: holds no PEM block")
    return pem
