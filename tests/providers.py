"""An identity provider on loopback that does whatever a test wants of it, good or bad, over real HTTP."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

Answer = Callable[[BaseHTTPRequestHandler], None]


class Provider:
    """Answers each path with what `answers` has for it; `asked` lists the paths in their order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        self.keys: dict[str, Ed25519PrivateKey] = {}

    def say(self, path: str, content: bytes | str, status: int = 200, **headers: str) -> str:
        """Have a path answered so from now on; return its URL."""
        data = content.encode() if isinstance(content, str) else content

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                request.send_header(name.replace("_", "-"), value)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)

        self.answers[path] = answer
        return self.url + path

    def redirect(self, path: str, target: str) -> str:
        return self.say(path, b"", 302, Location=target)

    def hang(self, path: str, *, after: bytes = b"") -> str:
        """Have a path answered with `after` and then nothing, until the provider ends."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(after)
            request.wfile.flush()
            self.released.wait()

        self.answers[path] = answer
        return self.url + path

    def drip(self, path: str) -> str:
        """Have a path answered byte by byte, never to an end."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            while not self.released.wait(0.05):
                request.wfile.write(b" ")

        self.answers[path] = answer
        return self.url + path

    # Keys and tokens

    def jwk(self, kid: str) -> dict[str, object]:
        """The public key of this name, made the first time."""
        private = self.keys.setdefault(kid, Ed25519PrivateKey.generate())
        return {**OKPAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": kid, "use": "sig"}

    def jwks(self, *kids: str) -> bytes:
        return json.dumps({"keys": [self.jwk(kid) for kid in kids]}).encode()

    def publish(self, *kids: str, path: str = "/jwks", **headers: str) -> str:
        """Have these keys, and no others, at the path; return its URL."""
        return self.say(path, self.jwks(*kids), **headers)

    def token(self, kid: str, issuer: str, *, named: str | None = None, ahead_s: float = 0, **claims: object) -> str:
        """A token of this issuer by a key, whose clock is `ahead_s` ahead."""
        now = int(time.time() + ahead_s)
        self.jwk(kid)
        payload = {
            "iss": issuer,
            "sub": "svc-billing",
            "aud": "audit.example.com",
            "iat": now,
            "exp": now + 300,
            "jti": f"{kid}-{time.time_ns()}",
            "roles": ["admin"],
        } | claims
        return jwt.encode(payload, self.keys[kid], algorithm="EdDSA", headers={"kid": named or kid, "typ": "at+jwt"})


def until(condition: Callable[[], object]) -> None:
    """Wait for what a server does by itself."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.05)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


@contextmanager
def running_provider(*, tls: ssl.SSLContext | None = None) -> Iterator[Provider]:
    """Run a provider on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            answer = provider.answers.get(self.path)
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        provider = Provider(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield provider
        finally:
            provider.released.set()
            server.shutdown()
            thread.join()


def self_signed(folder: Path, host: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for an address; return its file, for who trusts it, and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test provider")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = folder / f"{host}.crt", folder / f"{host}.key"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return file, context
