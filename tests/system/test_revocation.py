"""Revocation and the own issuer's tokens, through a real server."""

from __future__ import annotations

import itertools
import json
import re
import time

import grpc
import pytest

from auditd.identity import LocalIssuer
from auditd_client import (
    AdminClient,
    Client,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from auditd_proto.v1 import admin_service_pb2 as pb
from auditd_proto.v1 import audit_log_service_pb2 as logs
from auditd_proto.v1.admin_service_pb2_grpc import AdminServiceStub

ISSUER = "https://audit.example.com/local"
_numbers = itertools.count()


@pytest.fixture
def subject():
    """A name that no other test uses."""
    return f"svc-{next(_numbers)}"


@pytest.fixture(scope="module")
def admin(shared_server):
    with AdminClient(shared_server.address, shared_server.token("admin", subject="root")) as client:
        yield client


def control(admin, action):
    """The events of `control` with this action, newest first."""
    return [json.loads(entry.leaf) for entry in admin.query(f'action = "{action}"', log="control")]


def refused(client):
    with pytest.raises(UnauthenticatedError) as caught:
        client.record("revocation.test")
    return caught.value.reason


def test_token_already_in_use_is_refused_at_once(shared_server, admin, subject):
    issued = admin.issue_token(subject, ["writer"])
    with Client(shared_server.address, issued.token) as client:
        client.record("revocation.test")
        revocation = admin.revoke(ISSUER, jti=issued.jti, reason="lost laptop")
        assert refused(client) == "TOKEN_REVOKED"
    entry = control(admin, "revocation.add")[0]
    assert entry["index"] == revocation.index
    assert entry["caller"]["sub"] == "root"
    assert entry["event"]["reason"] == "lost laptop"
    assert entry["event"]["attributes"] == {"revoked": "jti", "issuer": ISSUER, "value": issued.jti}
    assert entry["event"]["origin"]["ip"] == "127.0.0.1"


@pytest.mark.parametrize("stream", ["Tail", "Export"])
@pytest.mark.parametrize("revoked", ["jti", "subject"])
def test_an_open_stream_ends_at_once(shared_server, admin, subject, stream, revoked):
    if stream == "Export":
        # More than the connection takes while nobody reads.
        big = {"action": "revocation.test", "attributes": {"text": "x" * 50_000}}
        for _ in range(6):
            admin.append([big] * 60)
    issued = admin.issue_token(subject, ["reader"])
    metadata = [("authorization", f"Bearer {issued.token}")]
    stub = shared_server.stub()
    request = logs.TailRequest(heartbeat_s=60) if stream == "Tail" else logs.ExportRequest(no_index=True)
    messages = getattr(stub, stream)(request, metadata=metadata, timeout=30)
    next(messages)
    admin.revoke(ISSUER, **{revoked: issued.jti if revoked == "jti" else subject})
    # Looked at only every few seconds, the export would have come to its end.
    with pytest.raises(grpc.RpcError) as caught:
        for _ in messages:
            pass
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_later_tokens_of_a_subject_are_refused_until_it_is_restored(shared_server, admin, subject):
    revocation = admin.revoke(ISSUER, subject=subject)
    with Client(shared_server.address, admin.issue_token(subject, ["writer"]).token) as client:
        assert refused(client) == "TOKEN_REVOKED"
        assert admin.withdraw_revocation(revocation.index, reason="a mistake") == revocation
        client.record("revocation.test")
    entry = control(admin, "revocation.withdraw")[0]
    assert entry["event"]["attributes"] == {"index": revocation.index}
    assert entry["event"]["reason"] == "a mistake"


def test_issued_before_logs_a_subject_out_but_not_off(shared_server, admin, subject):
    issued = admin.issue_token(subject, ["writer"])
    admin.revoke(ISSUER, subject=subject, issued_before="2000-01-01T00:00:00Z")
    with Client(shared_server.address, issued.token) as client:
        client.record("revocation.test")
        revocation = admin.revoke(ISSUER, subject=subject, issued_before="2100-01-01T00:00:00+01:00")
        assert refused(client) == "TOKEN_REVOKED"
    assert revocation.issued_before.isoformat() == "2099-12-31T23:00:00+00:00"


def test_asked_twice_it_is_revoked_once(admin, subject):
    first = admin.revoke(ISSUER, subject=subject, reason="first")
    assert admin.revoke(ISSUER, subject=subject, reason="second") == first
    assert [one for one in admin.revocations() if one.value == subject] == [first]


def test_a_key_is_revoked_with_all_its_tokens(make_server):
    server = make_server()
    with AdminClient(server.address, server.token("admin")) as admin:
        key = control(admin, "issuer_key.add")[0]["event"]["attributes"]
        with pytest.raises(PreconditionError) as caught:
            admin.revoke(key["issuer"], key=key["thumbprint"])
        assert caught.value.reason == "REVOKES_CALLER"
        assert list(admin.revocations()) == []
        admin.revoke(key["issuer"], key=key["thumbprint"], include_caller=True)
        assert refused(admin) == "TOKEN_REVOKED"
        server.kill()
        server.start()
    with Client(server.address, server.token("admin", subject="other")) as client:
        assert refused(client) == "TOKEN_REVOKED"


def test_revocations_outlive_a_crash_and_stay_withdrawn(make_server):
    server = make_server()
    with AdminClient(server.address, server.token("admin")) as admin:
        kept = admin.revoke(ISSUER, subject="mallory", reason="left")
        restored = admin.revoke(ISSUER, subject="alice")
        admin.withdraw_revocation(restored.index)
    token = server.token("writer", subject="mallory")
    server.kill()
    server.start()
    with Client(server.address, token) as client:
        assert refused(client) == "TOKEN_REVOKED"
    with Client(server.address, server.token("writer", subject="alice")) as client:
        client.record("revocation.test")
    with AdminClient(server.address, server.token("admin")) as admin:
        assert list(admin.revocations()) == [kept]
        with pytest.raises(NotFoundError) as caught:
            admin.withdraw_revocation(restored.index)
        assert caught.value.reason == "REVOCATION_NOT_FOUND"


def test_listing_goes_by_pages(shared_server, admin, subject):
    for number in range(5):
        admin.revoke(ISSUER, jti=f"{subject}-{number}")
    stub = AdminServiceStub(shared_server.channel())
    metadata = [("authorization", f"Bearer {shared_server.token('admin')}")]
    listed, token = [], ""
    while True:
        page = stub.ListRevocations(
            pb.ListRevocationsRequest(page_size=2, page_token=token), metadata=metadata, timeout=10
        )
        assert len(page.revocations) <= 2
        listed += [one.index for one in page.revocations]
        token = page.next_page_token
        if not token:
            break
    assert listed == [one.index for one in admin.revocations()]


@pytest.mark.parametrize("role", ["writer", "reader", "auditor", "importer"])
def test_only_administrators_administer(shared_server, role):
    with AdminClient(shared_server.address, shared_server.token(role)) as client:
        for attempt in (
            lambda: client.revoke(ISSUER, everything=True),
            lambda: client.withdraw_revocation(0),
            lambda: list(client.revocations()),
            lambda: client.issue_token("mallory", ["admin"]),
        ):
            with pytest.raises(PermissionDeniedError):
                attempt()


def test_issued_token_works_and_its_issue_is_recorded_without_it(shared_server, admin, subject):
    issued = admin.issue_token(subject, ["writer", "reader"], ttl_s=60)
    with Client(shared_server.address, issued.token) as client:
        client.record("revocation.test")
    entry = control(admin, "token.issue")[0]
    assert entry["event"]["attributes"] == {
        "issuer": ISSUER,
        "subject": subject,
        "roles": ["writer", "reader"],
        "jti": issued.jti,
        "expires_at": int(issued.expires_at.timestamp()),
    }
    assert issued.token not in repr(issued)
    assert issued.token.split(".")[2] not in json.dumps(entry)


def test_own_issuer_that_is_off_issues_nothing(make_server, tmp_path):
    server = make_server(start=False)
    config = server.folder / "auditd.toml"
    jwks = tmp_path / "jwks.json"
    server.start()
    with AdminClient(server.address, server.token("admin")) as admin:
        jwk = control(admin, "issuer_key.add")[0]["event"]["attributes"]["jwk"]
    token = server.token("admin")
    server.stop()
    jwks.write_text(f'{{"keys": [{jwk}]}}')
    text = config.read_text().replace("enabled = true", "enabled = false")
    config.write_text(f'{text}\n[[issuers]]\nissuer = "{ISSUER}"\njwks_file = "{jwks}"\n')
    header_kid = {"keys": [{**json.loads(jwk), "kid": json.loads(_header(token))["kid"]}]}
    jwks.write_text(json.dumps(header_kid))
    server.start()
    with AdminClient(server.address, token) as admin, pytest.raises(PreconditionError) as caught:
        admin.issue_token("bob", ["writer"])
    assert caught.value.reason == "LOCAL_ISSUER_OFF"


def _header(token):
    import base64

    part = token.split(".")[0]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RevokeTokenRequest(issuer=ISSUER), "target"),
        (pb.RevokeTokenRequest(issuer=ISSUER, everything=False), "target"),
        (pb.RevokeTokenRequest(jti="a"), "issuer"),
        (pb.RevokeTokenRequest(issuer=f"{ISSUER}/", jti="a"), "issuer"),
        (pb.RevokeTokenRequest(issuer=ISSUER, jti="a" * 257), "jti"),
        (pb.RevokeTokenRequest(issuer=ISSUER, subject=""), "subject"),
        (pb.RevokeTokenRequest(issuer=ISSUER, key="k" * 42), "key"),
        (pb.RevokeTokenRequest(issuer=ISSUER, jti="a", issued_before={"seconds": 5}), "issued_before"),
        (pb.RevokeTokenRequest(issuer=ISSUER, subject="a", issued_before={"seconds": 5, "nanos": 1}), "issued_before"),
        (pb.RevokeTokenRequest(issuer=ISSUER, subject="a", issued_before={"seconds": -5}), "issued_before"),
        (pb.RevokeTokenRequest(issuer=ISSUER, subject="a", reason="r" * 1_025), "reason"),
        (pb.RevokeTokenRequest(issuer=ISSUER, subject="a", reason="\x1b[2J"), "reason"),
        (pb.WithdrawRevocationRequest(index=2**63), "index"),
        (pb.ListRevocationsRequest(page_size=-1), "page_size"),
        (pb.ListRevocationsRequest(page_token="-1"), "page_token"),
        (pb.ListRevocationsRequest(page_token="9" * 20), "page_token"),
        (pb.IssueTokenRequest(roles=["writer"]), "subject"),
        (pb.IssueTokenRequest(subject="a"), "roles"),
        (pb.IssueTokenRequest(subject="a", roles=["god"]), "roles"),
        (pb.IssueTokenRequest(subject="a", roles=["writer"], ttl_s=3_601), "ttl_s"),
        (pb.IssueTokenRequest(subject="a", roles=["writer"], ttl_s=-1), "ttl_s"),
        (pb.IssueTokenRequest(subject="a", roles=["writer"], certificate_sha256=b"x"), "certificate_sha256"),
    ],
    ids=str,
)
def test_bad_request_names_its_field(shared_server, admin, request_, field):
    with pytest.raises(InvalidRequestError) as caught:
        admin._run(admin._call_once(type(request_).__name__.removesuffix("Request"), request_, None))
    assert [violation.field for violation in caught.value.violations] == [field]


def test_malformed_bytes_and_missing_tokens_are_answered(shared_server):
    call = shared_server.channel().unary_unary("/auditd.v1.AdminService/RevokeToken")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    metadata = [("authorization", f"Bearer {shared_server.token('admin')}")]
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff", timeout=10, metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_command_line_revokes_lists_and_restores(shared_server, subject, tmp_path):
    token = shared_server.cli("token", "issue", "--sub", subject, "--role", "writer").stdout.strip()
    (tmp_path / "token").write_text(token)
    event = ("append", "--action", "revocation.test")
    assert shared_server.cli(*event, env={"AUDITLOG_TOKEN": token}).returncode == 0
    done = shared_server.cli(
        "token", "revoke", "--jwt-file", str(tmp_path / "token"), "--reason", "lost", "--output", "jsonl"
    )
    revocation = json.loads(done.stdout)
    assert (revocation["revoked"], revocation["issuer"], revocation["reason"]) == ("jti", ISSUER, "lost")
    done = shared_server.cli(*event, env={"AUDITLOG_TOKEN": token})
    assert (done.returncode, "TOKEN_REVOKED" in done.stderr) == (3, True)
    listed = shared_server.cli("token", "revocations", "--output", "jsonl").stdout.splitlines()
    assert revocation in map(json.loads, listed)
    done = shared_server.cli("token", "restore", str(revocation["index"]))
    assert re.match(f"ended: jti .* of {ISSUER}", done.stdout)
    assert shared_server.cli(*event, env={"AUDITLOG_TOKEN": token}).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--sub", "a"], "--issuer"),
        (["--issuer", "i"], "exactly one of"),
        (["--issuer", "i", "--sub", "a", "--everything"], "exactly one of"),
        (["--issuer", "i", "--sub", "a", "--issued-before", "yesterday"], "issued_before"),
        (["--jwt-file", "/dev/null"], "no token"),
        (["--jwt-file", "/nonexistent"], "No such file"),
    ],
)
def test_misuse_of_revoke_is_explained(shared_server, arguments, problem):
    done = shared_server.cli("token", "revoke", *arguments)
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr


def test_tokens_for_one_call_and_the_record_of_what_is_refused(make_server, tmp_path):
    server = make_server(start=False)
    issuer = LocalIssuer.create("https://once.example.com")
    (tmp_path / "once.jwks").write_bytes(issuer.jwks())
    config = server.folder / "auditd.toml"
    table = f'issuer = "{issuer.issuer}"\njwks_file = "{tmp_path / "once.jwks"}"\nrefuse_replayed_jti = true\n'
    config.write_text(f"{config.read_text()}\n[[issuers]]\n{table}")
    server.start()
    # A token of the second in which the server starts would be refused.
    issued_at = time.time() + 2
    token = issuer.issue("svc-once", ["writer"], 60, "audit.example.com", issued_at)
    with Client(server.address, token) as client:
        client.record("revocation.test")
        assert refused(client) == "TOKEN_REPLAYED"
    with AdminClient(server.address, server.token("admin")) as admin:
        found = [json.loads(entry.leaf)["event"] for entry in admin.query("reason = TOKEN_REPLAYED", log="access")]
    assert [event["attributes"]["claimed_subject"] for event in found] == ["svc-once"]
    assert [event["origin"] for event in found] == [{"ip": "127.0.0.1"}]
    assert token.split(".")[2] not in json.dumps(found)


def test_a_flood_of_strangers_makes_few_entries_that_count_every_one(make_server):
    server = make_server()
    stranger = LocalIssuer.create(ISSUER)
    now = time.time()
    tokens = [stranger.issue(f"mallory-{number}", ["admin"], 60, "audit.example.com", now) for number in range(40)]
    call = server.channel().unary_unary("/auditd.v1.AuditLogService/Append")
    for number in range(400):
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=[("authorization", f"Bearer {tokens[number % 40]}")])
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    server.stop()  # what is still being counted is recorded then
    server.start()
    with Client(server.address, server.token("admin")) as client:
        found = [json.loads(entry.leaf)["event"] for entry in client.query('action = "call.refuse"', log="access")]
    assert sum(event["attributes"].get("count", 1) for event in found) == 400
    assert len(found) < 10
    assert {(event["reason"], event["origin"]["ip"]) for event in found} == {("TOKEN_UNKNOWN_KEY", "127.0.0.1")}
    assert found[-1]["attributes"]["claimed_subject"] == "mallory-0"
    assert not any(part in json.dumps(found) for token in tokens for part in token.split(".")[1:])


def test_a_whole_issuer_is_revoked_and_restored_and_a_withdrawn_key_ends_streams(make_server):
    server = make_server(start=False)
    issuer = LocalIssuer.create("https://idp.example.com")
    (server.folder / "idp.jwks").write_bytes(issuer.jwks())
    with (server.folder / "auditd.toml").open("a") as config:
        config.write(f'\n[[issuers]]\nissuer = "{issuer.issuer}"\njwks_file = "idp.jwks"\n')
    server.start()
    token = issuer.issue("svc", ["writer", "reader"], 600, "audit.example.com", time.time())
    with AdminClient(server.address, server.token("admin")) as admin, Client(server.address, token) as client:
        client.record("revocation.test")
        revocation = admin.revoke(issuer.issuer, everything=True)
        assert refused(client) == "TOKEN_REVOKED"
        admin.withdraw_revocation(revocation.index)
        client.record("revocation.test")
    # A key that its issuer no longer lists ends the open streams of its tokens, too.
    metadata = [("authorization", f"Bearer {token}")]
    messages = server.stub().Tail(logs.TailRequest(heartbeat_s=60), metadata=metadata, timeout=30)
    next(messages)
    (server.folder / "idp.jwks").write_bytes(LocalIssuer.create("https://idp.example.com").jwks())
    with pytest.raises(grpc.RpcError) as caught:
        next(messages)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
