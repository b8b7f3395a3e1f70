"""TLS, client certificates, and what is bound to them, through a real server."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from datetime import timedelta

import grpc
import pytest
from cryptography import x509

from auditd_client import (
    AdminClient,
    AsyncClient,
    Client,
    RetryPolicy,
    SettingsError,
    UnauthenticatedError,
    UnreachableError,
)
from tests.system.certificates import make_pair
from tests.system.conftest import AUDITLOG, ORIGIN, Server, auditlog

CERTIFICATES = f"https://{ORIGIN}/certificates"
EVENT = {"action": "tls.test"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority of clients and of the server, and certificates by it."""
    folder = tmp_path_factory.mktemp("pki")
    ca = make_pair(folder, "ca")
    spiffe = (x509.UniformResourceIdentifier("spiffe://acme/billing"),)
    made = {
        "ca": ca,
        "server": make_pair(folder, "server", ca),
        "billing": make_pair(folder, "billing", ca, names=spiffe),
    }
    made |= {name: make_pair(folder, name, ca) for name in ("alice", "reports", "nobody")}
    made["stranger"] = make_pair(folder, "stranger", make_pair(folder, "other-ca"))
    return made


@pytest.fixture(scope="module")
def server(pki, tmp_path_factory):
    """A server that wants client certificates, three of which are callers."""
    folder = tmp_path_factory.mktemp("tls") / "server"
    server = Server.make(folder)
    config = folder / "auditd.toml"
    reports = base64.urlsafe_b64encode(pki["reports"].sha256).decode().rstrip("=")
    config.write_text(
        config.read_text()
        + f"""
[tls]
certificate = "{pki["server"].certificate_file}"
key = "{pki["server"].key_file}"
client_ca = "{pki["ca"].certificate_file}"
listen_without_certificate = "127.0.0.1:0"

[[certificates]]
subject = "svc-billing"
roles = ["writer"]
name = "URI:spiffe://acme/billing"

[[certificates]]
subject = "alice"
roles = ["admin"]
distinguished_name = "CN=alice"

[[certificates]]
subject = "reports"
roles = ["reader"]
sha256 = "{reports}"
"""
    )
    server.start()
    yield server
    server.stop()


def connect(server, pki, holder=None, token=None, *, address=None, kind=Client, **options):
    certificate = {}
    if holder is not None:
        certificate = {"certificate": pki[holder].certificate_file, "private_key": pki[holder].key_file}
    return kind(address or server.address, token, ca=pki["ca"].certificate_file, timeout_s=10, **certificate, **options)


def refusal(client):
    with client, pytest.raises(UnauthenticatedError) as caught:
        client.append([EVENT])
    return caught.value.reason


@pytest.mark.parametrize(
    ("holder", "subject"), [("billing", "svc-billing"), ("alice", "alice")], ids=["by name", "by distinguished name"]
)
def test_a_certificate_is_a_caller_where_configured(server, pki, holder, subject):
    with connect(server, pki, holder) as client:
        receipt = client.append([EVENT], return_leaves=True).receipts[0]
    assert json.loads(receipt.leaf)["caller"] == {
        "kind": "certificate",
        "iss": CERTIFICATES,
        "sub": subject,
        "credential": pki[holder].sha256.hex(),
    }


def test_a_certificate_has_the_roles_that_are_configured(server, pki):
    with connect(server, pki, "billing") as client:
        client.append([EVENT])
    with connect(server, pki, "reports") as client:
        assert [entry.index for entry in client.query(limit=1)]
    done = auditlog("get", "0", env=environment(server, pki, "billing"))
    assert (done.returncode, "PERMISSION_DENIED" in done.stderr) == (3, True)


def environment(server, pki, holder):
    return {
        "AUDITLOG_ADDRESS": server.address,
        "AUDITLOG_CA": str(pki["ca"].certificate_file),
        "AUDITLOG_CERTIFICATE": str(pki[holder].certificate_file),
        "AUDITLOG_PRIVATE_KEY": str(pki[holder].key_file),
    }


def test_control_holds_the_certificate_of_each_caller_once(server, pki):
    for _ in range(2):
        with connect(server, pki, "alice") as client:
            client.append([EVENT])
            found = list(client.query('action = "certificate.add"', log="control"))
    entries = [json.loads(entry.leaf)["event"]["attributes"] for entry in found]
    (mine,) = [entry for entry in entries if entry["subject"] == "alice"]
    assert mine["sha256"] == pki["alice"].sha256.hex()
    der = base64.b64decode(mine["certificate"])
    assert x509.load_der_x509_certificate(der) == pki["alice"].certificate


def test_a_certificate_that_is_no_caller_needs_a_token(server, pki):
    assert refusal(connect(server, pki, "nobody")) == "TOKEN_MISSING"
    with connect(server, pki, "nobody", server.token("writer")) as client:
        client.append([EVENT])


def test_a_token_goes_before_the_certificate(server, pki):
    with connect(server, pki, "billing", server.token("writer", subject="bob")) as client:
        receipt = client.append([EVENT], return_leaves=True).receipts[0]
    assert json.loads(receipt.leaf)["caller"]["sub"] == "bob"
    assert refusal(connect(server, pki, "billing", "no.good.token")) == "TOKEN_MALFORMED"


def test_a_revoked_certificate_is_refused(server, pki):
    thumbprint = base64.urlsafe_b64encode(pki["billing"].sha256).decode().rstrip("=")
    with connect(server, pki, "alice", kind=AdminClient) as admin, connect(server, pki, "billing") as client:
        client.append([EVENT])
        revocation = admin.revoke(CERTIFICATES, key=thumbprint)
        with pytest.raises(UnauthenticatedError) as caught:
            client.append([EVENT])
        assert caught.value.reason == "TOKEN_REVOKED"
        admin.withdraw_revocation(revocation.index)
        revocation = admin.revoke(CERTIFICATES, subject="svc-billing")
        with pytest.raises(UnauthenticatedError):
            client.append([EVENT])
        admin.withdraw_revocation(revocation.index)
        client.append([EVENT])


def test_a_certificate_by_another_authority_does_not_connect(server, pki):
    with connect(server, pki, "stranger", retry=RetryPolicy(max_attempts=1)) as client, pytest.raises(UnreachableError):
        client.append([EVENT])


def bound_token(server, pki, holder):
    certificate = str(pki[holder].certificate_file)
    done = auditlog("token", "issue", str(server.folder), "--sub", "bob", "--role", "writer", "--bind", certificate)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_bound_token_is_good_with_its_certificate_alone(server, pki):
    token = bound_token(server, pki, "nobody")
    with connect(server, pki, "nobody", token) as client:
        receipt = client.append([EVENT], return_leaves=True).receipts[0]
    assert json.loads(receipt.leaf)["caller"]["kind"] == "token"
    assert refusal(connect(server, pki, "billing", token)) == "TOKEN_SENDER_CONSTRAINED"


def without_certificate(server):
    (line,) = [line for line in server.said.splitlines() if line.startswith("clients without a certificate:")]
    return line.split()[-1]


def test_clients_without_certificates_have_an_address_of_their_own(server, pki):
    address = without_certificate(server)
    with connect(server, pki, None, server.token("writer"), address=address) as client:
        client.append([EVENT])
    # Also one that the client would give, but nobody asks for, proves nothing.
    assert refusal(connect(server, pki, "billing", address=address)) == "TOKEN_MISSING"
    token = bound_token(server, pki, "nobody")
    assert refusal(connect(server, pki, "nobody", token, address=address)) == "TOKEN_SENDER_CONSTRAINED"


def test_forwarded_certificate_headers_prove_nothing(server, pki):
    credentials = grpc.ssl_channel_credentials(pki["ca"].certificate_file.read_bytes())
    pem = base64.b64encode(pki["alice"].certificate_file.read_bytes()).decode()
    metadata = [("x-forwarded-client-cert", pem), ("x-client-cert", pem), ("x509_pem_cert", pem)]
    with grpc.secure_channel(without_certificate(server), credentials) as channel:
        call = channel.unary_unary("/auditd.v1.AuditLogService/ListLogs")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=metadata, timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_bound_token_is_refused_in_plaintext(shared_server, pki):
    with Client(shared_server.address, bound_token(shared_server, pki, "nobody")) as client:
        assert refusal(client) == "TOKEN_SENDER_CONSTRAINED"


def test_the_server_issues_bound_tokens(server, pki):
    with connect(server, pki, "alice", kind=AdminClient) as admin:
        issued = admin.issue_token("bob", ["writer"], certificate_sha256=pki["nobody"].sha256)
        entry = json.loads(next(iter(admin.query('action = "token.issue"', log="control"))).leaf)
    assert entry["event"]["attributes"]["certificate_sha256"] == pki["nobody"].sha256.hex()
    with connect(server, pki, "nobody", issued.token) as client:
        client.append([EVENT])
    assert refusal(connect(server, pki, "billing", issued.token)) == "TOKEN_SENDER_CONSTRAINED"


@pytest.mark.parametrize("kind", [Client, AsyncClient], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "ca: is missing, and the server at .* speaks TLS"),
        ({"ca": "other-ca"}, "ca: does not vouch for the server"),
        ({"ca": "ca"}, "certificate: is missing, and the server at .* asks for one"),
    ],
    ids=["plaintext to TLS", "another authority", "no certificate"],
)
def test_a_client_that_does_not_fit_is_told_so_at_once(server, pki, kind, options, problem):
    files = {"ca": pki["ca"].certificate_file, "other-ca": pki["ca"].certificate_file.with_name("other-ca.crt")}
    options = {name: files[value] for name, value in options.items()}
    append = _append if kind is Client else _append_async
    with pytest.raises(SettingsError, match=problem):
        append(kind(server.address, "token", timeout_s=60, **options))


def _append(client):
    with client:
        client.append([EVENT])


def _append_async(client):
    async def append():
        async with client:
            await client.append([EVENT])

    asyncio.run(append())


def test_tls_to_a_plaintext_server_is_told_at_once(shared_server, pki):
    with (
        connect(shared_server, pki, None, "token") as client,
        pytest.raises(SettingsError, match="speaks no TLS"),
    ):
        client.append([EVENT])


def test_the_command_line_says_so_in_one_line_whatever_grpc_has_to_say(shared_server, pki):
    environment = {"AUDITLOG_ADDRESS": shared_server.address, "AUDITLOG_TOKEN": shared_server.token("reader")}
    environment |= {"AUDITLOG_CA": str(pki["ca"].certificate_file), "PATH": os.environ["PATH"]}
    done = subprocess.run([AUDITLOG, "logs"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"auditlog: address: .* speaks no TLS.*\n", done.stderr)


def test_the_command_line_takes_certificates_by_flag_variable_and_profile(server, pki, tmp_path):
    event = ("append", "--action", "tls.test", "--output", "jsonl")
    env = environment(server, pki, "billing")
    assert auditlog(*event, env=env).returncode == 0
    flags = [
        part
        for name, value in env.items()
        for part in (f"--{name.removeprefix('AUDITLOG_').lower().replace('_', '-')}", value)
    ]
    assert auditlog(*event, *flags).returncode == 0
    profile = tmp_path / "auditlog" / "config.toml"
    profile.parent.mkdir()
    settings = {name.removeprefix("AUDITLOG_").lower(): value for name, value in env.items()}
    profile.write_text("[profiles.default]\n" + "".join(f'{name} = "{value}"\n' for name, value in settings.items()))
    assert auditlog(*event, env={"XDG_CONFIG_HOME": str(tmp_path)}).returncode == 0
    done = auditlog(*event, env=env | {"AUDITLOG_PRIVATE_KEY": ""})
    assert (done.returncode, "belong together" in done.stderr) == (2, True)


def peer_name(address):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection, context.wrap_socket(connection) as stream:
        return x509.load_der_x509_certificate(stream.getpeercert(True)).subject.rfc4514_string()


def test_certificates_are_read_again_when_they_change(make_server, pki, tmp_path):
    server = make_server(start=False)
    first, second = (make_pair(tmp_path, name, pki["ca"]) for name in ("first", "second"))
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    certificate.write_bytes(first.certificate_file.read_bytes())
    key.write_bytes(first.key_file.read_bytes())
    config = server.folder / "auditd.toml"
    config.write_text(config.read_text() + f'\n[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
    server.start()
    with connect(server, pki, None, server.token("writer")) as client:
        client.append([EVENT])
        certificate.write_bytes(second.certificate_file.read_bytes())
        assert peer_name(server.address) == "CN=first"  # its key is not there yet
        key.write_bytes(second.key_file.read_bytes())
        assert peer_name(server.address) == "CN=second"
        key.unlink()
        assert peer_name(server.address) == "CN=second"
        client.append([EVENT])


def test_init_makes_a_working_setup(tmp_path):
    folder = tmp_path / "server"
    done = auditlog("init", str(folder), "--origin", ORIGIN, "--tls-host", "audit.internal", "--output", "json")
    made = json.loads(done.stdout)
    assert {path.stat().st_mode & 0o777 for path in (folder / "keys").iterdir()} == {0o600}
    server = Server(folder, made["vkeys"])
    server.start()
    try:
        for target in (None, "audit.internal", ORIGIN, "localhost"):
            options = [("grpc.ssl_target_name_override", target)] if target else []
            with grpc.secure_channel(
                server.address, grpc.ssl_channel_credentials((tmp_path / "server/tls/ca.crt").read_bytes()), options
            ) as channel:
                call = channel.unary_unary("/grpc.health.v1.Health/Check")
                assert call(b"", timeout=10) == b"\x08\x01"
        assert server.cli("append", "--action", "a", env={"AUDITLOG_CA": made["ca"]}).returncode == 0
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        ('certificate = "missing.crt"\nkey = "{key}"', "missing.crt: No such file"),
        ('certificate = "{key}"\nkey = "{key}"', "server.key: holds no certificate in PEM"),
        ('certificate = "{crt}"\nkey = "{crt}"', "server.crt: holds no unencrypted private key"),
        ('certificate = "{crt}"\nkey = "{other}"', "is not the key of the first certificate"),
        ('certificate = "{crt}"\nkey = "{key}"\nclient_ca = "{key}"', "server.key: holds no certificate"),
        ('certificate = "{crt}"\nkey = "{key}"\nlisten_without_certificate = "x:0"', "set client_ca as well"),
        (
            'certificate = "{crt}"\nkey = "{key}"\nclient_ca = "{crt}"\nlisten_without_certificate = "x"',
            "tls.listen_without_certificate: 'x', must be HOST:PORT",
        ),
        (
            'certificate = "{crt}"\nkey = "{key}"\n[[certificates]]\nsubject = "a"\nroles = ["writer"]\nname = "DNS:a"',
            "certificates: need client certificates",
        ),
        ('[[certificates]]\nsubject = "a"\nroles = ["god"]\nname = "DNS:a"', "roles: 'god' is none of"),
        ('[[certificates]]\nsubject = "a"\nroles = ["writer"]\nname = "a"', "name: 'a', must begin with DNS:"),
        ('[[certificates]]\nsubject = "a"\nroles = ["writer"]', "is missing: expected one of"),
        (
            '[[certificates]]\nsubject = "a"\nroles = ["writer"]\nname = "DNS:a"\ndistinguished_name = "CN=a"',
            "is given with others",
        ),
        ('[[certificates]]\nsubject = "a"\nroles = ["writer"]\nsha256 = "abc"', "'abc', must be a SHA-256"),
    ],
    ids=lambda value: value[:60],
)
def test_serve_refuses_unfit_tls_settings(tls_folder, pki, tls, problem):
    files = {
        "crt": pki["server"].certificate_file,
        "key": pki["server"].key_file,
        "other": pki["alice"].key_file,
    }
    config = tls_folder / "auditd.toml"
    before = config.read_text()
    try:
        config.write_text(f"{before}\n[tls]\n{tls}\n".format(**files))
        done = auditlog("serve", str(tls_folder), "--listen", "127.0.0.1:0")
    finally:
        config.write_text(before)
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr
    assert "BEGIN" not in done.stderr


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unfit") / "server"
    assert auditlog("init", str(folder)).returncode == 0
    return folder


def test_an_expired_certificate_does_not_connect(server, pki, tmp_path):
    old = make_pair(tmp_path, "billing", pki["ca"], lifetime=timedelta(seconds=-1))
    with (
        Client(
            server.address,
            ca=pki["ca"].certificate_file,
            certificate=old.certificate_file,
            private_key=old.key_file,
            retry=RetryPolicy(max_attempts=1),
        ) as client,
        pytest.raises(UnreachableError),
    ):
        client.append([EVENT])


def test_check_finds_entries_of_certificate_callers_sound(server, pki):
    with connect(server, pki, "billing") as client:
        client.append([EVENT])
    done = server.check()
    assert (done.returncode, "CREDENTIAL" in done.stdout) == (0, False), done.stdout


def test_check_finds_a_caller_whose_certificate_control_does_not_hold(make_server, pki):
    server = make_server(start=False)
    with (server.folder / "auditd.toml").open("a") as config:
        config.write(
            f"""
[tls]
certificate = "{pki["server"].certificate_file}"
key = "{pki["server"].key_file}"
client_ca = "{pki["ca"].certificate_file}"

[[certificates]]
subject = "alice"
roles = ["writer"]
distinguished_name = "CN=alice"
"""
        )
    server.start()
    server.stop()
    control, before = server.folder / "logs" / "control", server.folder / "before"
    shutil.copytree(control, before)
    server.start()
    with connect(server, pki, "alice") as client:
        client.append([EVENT])
    server.stop()
    assert server.check().returncode == 0
    shutil.rmtree(control)
    before.rename(control)
    done = server.check()
    assert (done.returncode, "CERTIFICATE_UNKNOWN" in done.stdout) == (1, True), done.stdout


def test_init_refuses_a_host_that_is_none(tmp_path):
    done = auditlog("init", str(tmp_path / "server"), "--tls-host", "not a host")
    assert (done.returncode, "no host name and no address" in done.stderr) == (2, True)
