"""TLS from files, which are read again when they change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auditd.errors import FolderError
from auditd.regular_file import open_regular
from auditd.server._config import TlsSettings

_MAX_FILE_BYTES = 1 << 20
_Stamp = tuple[tuple[int, int, int], ...]
_logger = logging.getLogger(__name__)


class TlsFiles:
    """The files of one address, on which several servers may listen.

    With `certificates` every client must present one that `settings.client_ca` vouches for. gRPC asks for the files in
    threads of its own, before every handshake. Raises FolderError: `TLS_INVALID`, naming the file at fault.
    """

    def __init__(self, settings: TlsSettings, *, certificates: bool) -> None:
        self._certificate = settings.certificate
        self._key = settings.key
        self._client_ca = settings.client_ca if certificates else None
        self._lock = threading.Lock()  # guards the two below it
        self._stamp: _Stamp = ()
        self._loaded = self.load()

    def add_port(self, server: grpc.aio.Server, address: str) -> int:
        """Have a server listen on `address` with TLS; return the port. Raises RuntimeError where it cannot."""
        has = self._loaded

        def fetch() -> Any:  # noqa: ANN401 -- grpc has no types
            nonlocal has
            newest = self.newest()
            if newest is has:
                return None
            has = newest
            return newest

        credentials = grpc.dynamic_ssl_server_credentials(has, fetch, self._client_ca is not None)
        return int(server.add_secure_port(address, credentials))

    def load(self) -> Any:  # noqa: ANN401 -- grpc has no types
        """Return the configuration as it is in the files.

        Raises FolderError: `TLS_INVALID`, when a file is missing or malformed, or the key is not the certificate's.
        """
        stamp = self._stamp_now()
        chain, key = _read(self._certificate, "tls.certificate"), _read(self._key, "tls.key")
        _require_pair(self._certificate, chain, self._key, key)
        roots = None
        if self._client_ca is not None:
            roots = _read(self._client_ca, "tls.client_ca")
            _certificates(self._client_ca, roots)
        self._stamp = stamp
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)

    def newest(self) -> Any:  # noqa: ANN401 -- as above
        """Return what the files hold, or held when they were fit last."""
        with self._lock:
            try:
                if self._stamp_now() != self._stamp:
                    self._loaded = self.load()
            except FolderError as error:
                # As while a certificate is being renewed: its key may not be there yet.
                _logger.warning("%s; what was read before stays in use", error.message)
            return self._loaded

    def _stamp_now(self) -> _Stamp:
        files: Sequence[Path | None] = (self._certificate, self._key, self._client_ca)
        try:
            stats = [file.stat() for file in files if file is not None]
        except OSError as error:
            raise _invalid(f"{error.filename}: {error.strerror}") from error
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)


def _read(file: Path, setting: str) -> bytes:
    try:
        with open_regular(file) as opened:
            return opened.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise _invalid(f"{setting}: {file}: {error.strerror}") from error


def _certificates(file: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise _invalid(f"{file}: holds no certificate in PEM") from error


def _require_pair(certificate_file: Path, chain: bytes, key_file: Path, key: bytes) -> None:
    certificate = _certificates(certificate_file, chain)[0]
    try:
        private_key = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise _invalid(f"{key_file}: holds no unencrypted private key in PEM") from error
    ours, theirs = (
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for public in (private_key.public_key(), certificate.public_key())
    )
    if ours != theirs:
        raise _invalid(f"{key_file}: is not the key of the first certificate in {certificate_file}")


def _invalid(problem: str) -> FolderError:
    return FolderError("TLS_INVALID", f"tls: {problem}")
