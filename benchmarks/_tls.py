"""What mutual TLS costs a call: the same with a token bound to the client certificate, and in plaintext."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._append import SERVICE
from benchmarks._load import Load, Method, run_load
from demo._server import Server, auditlog, running_server

CALLERS = 64
_MOST_CALLS_PER_S = 15_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers that differ in this alone, and the methods to call them with."""

    plaintext: Method
    mutual_tls: Method


@contextmanager
def running_pair(scratch: Path, origin: str) -> Iterator[Pair]:
    """Run a server in plaintext and one that wants client certificates."""
    client = scratch / "client.pem"

    def want_certificates(folder: Path) -> None:
        _make_client(folder, client)
        config = folder / "auditd.toml"
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace("[tls]\n", '[tls]\nclient_ca = "tls/ca.crt"\n'), encoding="utf-8")

    with (
        running_server(scratch / "plaintext", origin) as plaintext,
        running_server(scratch / "mutual-tls", origin, init=("--tls",), configure=want_certificates) as mutual,
    ):
        context = ssl.create_default_context(cafile=str(mutual.folder / "tls" / "ca.crt"))
        context.load_cert_chain(client)
        context.set_alpn_protocols(["h2"])
        path = SERVICE + "GetCheckpoint"
        yield Pair(
            Method(plaintext.address, path, _token(plaintext)),
            Method(mutual.address, path, _token(mutual, "--bind", str(client)), context),
        )


def calls(method: Method, limit_s: float) -> Load:
    """Ask for checkpoints, for 64 callers."""
    request = pb.GetCheckpointRequest().SerializeToString()
    return run_load(method, [request] * int(_MOST_CALLS_PER_S * limit_s), CALLERS, limit_s)


def _token(server: Server, *options: str) -> str:
    done = auditlog("token", "issue", str(server.folder), "--sub", "svc-bench", "--role", "reader", *options)
    return done.stdout.strip()


def _make_client(folder: Path, client: Path) -> None:
    """Write a certificate by the folder's own authority, and its key, to one file."""
    authority = x509.load_pem_x509_certificate((folder / "tls" / "ca.crt").read_bytes())
    authority_key = load_pem_private_key((folder / "keys" / "tls-ca.pem").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "svc-bench")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(authority_key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    client.touch(0o600)
    client.write_bytes(certificate.public_bytes(Encoding.PEM) + pem)
