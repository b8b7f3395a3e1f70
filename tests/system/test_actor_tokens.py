"""The end user's own token comes along: verified as of the event, kept as evidence, and never again what it was not."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.rpc.error_details_pb2 import BadRequest

from auditd.identity._strict import encode_base64url
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.providers import until
from tests.system.conftest import detail_of

ISSUER = "https://users.example.com"
AUDIENCE = "https://app.example.com"
SETTINGS = f"""
[[issuers]]
issuer = "{ISSUER}"
jwks_file = "users.json"
identifies = ["actor"]
actor_audience = "{AUDIENCE}"
drop_claims = ["email"]
[issuers.claims]
tenant = "org"
"""


class Provider:
    """An identity provider for end users."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.kid = "users-1"

    def jwks(self, key: Ed25519PrivateKey | None = None, kid: str = "") -> str:
        public = (key or self.key).public_key().public_bytes_raw()
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(public), "kid": kid or self.kid}
        return json.dumps({"keys": [jwk]})

    def token(self, *, key: Ed25519PrivateKey | None = None, kid: str = "", now: float = 0, **changes: Any) -> str:
        now = int(now or time.time())
        claims = {
            "iss": ISSUER,
            "sub": "alice",
            "aud": AUDIENCE,
            "iat": now - 10,
            "exp": now + 600,
            "jti": uuid.uuid4().hex,
            "roles": ["clerk"],
            "sid": "s-1",
            "amr": ["pwd", "otp"],
            "org": "acme",
        } | changes
        header = {"typ": "at+jwt", "alg": "EdDSA", "kid": kid or self.kid}
        parts = [
            encode_base64url(json.dumps({k: v for k, v in part.items() if v is not None}).encode())
            for part in (header, claims)
        ]
        signature = (key or self.key).sign(".".join(parts).encode())
        return ".".join((*parts, encode_base64url(signature)))


@dataclass
class Recorder:
    """A caller that appends events, and reads what became of them."""

    server: Any
    provider: Provider

    def __post_init__(self) -> None:
        self.stub = self.server.stub()
        self.metadata = (("authorization", f"Bearer {self.server.token('admin')}"),)

    def event(self, token: str = "", *, at: float = 0, **members: Any) -> pb.AppendRequest:
        request = pb.AppendRequest(return_leaves=True)
        event = request.events.add(id=uuid.uuid4().hex, action="order.place", actor_token=token, **members)
        event.time.FromMicroseconds(int((at or time.time()) * 1e6))
        return request

    def append(self, request: pb.AppendRequest) -> pb.AppendResponse:
        return self.stub.Append(request, metadata=self.metadata)

    def recorded(self, request: pb.AppendRequest) -> dict[str, Any]:
        return json.loads(self.append(request).receipts[0].leaf)["event"]

    def refusal(self, request: pb.AppendRequest) -> tuple[grpc.StatusCode, str, str]:
        """Code, field at fault, and description; having seen that no token is in any of it."""
        with pytest.raises(grpc.RpcError) as caught:
            self.append(request)
        for event in request.events:
            for part in event.actor_token.split("."):
                assert len(part) < 16 or part not in str(caught.value)
        violation = detail_of(caught.value, BadRequest).field_violations[0]
        return caught.value.code(), violation.field, violation.description

    def verdicts(self, index: int) -> tuple[str, str]:
        entry = self.stub.Get(pb.GetRequest(index=index, verify_tokens=True), metadata=self.metadata).entry
        return pb.TokenVerdict.Name(entry.caller_token), pb.TokenVerdict.Name(entry.actor_token)


@pytest.fixture(scope="module")
def provider():
    return Provider()


@pytest.fixture(scope="module")
def users_server(shared_server, provider):
    shared_server.stop()
    with (shared_server.folder / "auditd.toml").open("a") as file:
        file.write(SETTINGS)
    (shared_server.folder / "users.json").write_text(provider.jwks())
    shared_server.start()
    return shared_server


@pytest.fixture
def recorder(users_server, provider):
    return Recorder(users_server, provider)


def test_the_actor_comes_from_the_token(recorder, provider):
    event = recorder.recorded(recorder.event(provider.token()))
    actor = event["actor"]
    assert len(actor.pop("credential")) == 64
    assert actor == {
        "id": "alice",
        "roles": ["clerk"],
        "session_id": "s-1",
        "auth_method": "pwd otp",
        "identity": "verified",
        "verified": ["id", "roles", "session_id", "auth_method", "tenant"],
    }
    assert event["tenant"] == "acme"
    assert "actor_token" not in event


def test_what_the_event_states_besides_is_kept(recorder, provider):
    stated = {"type": "user", "id": "alice", "name": "Alice A."}
    event = recorder.recorded(recorder.event(provider.token(), actor=stated, tenant="other"))
    assert {name: event["actor"][name] for name in stated} == stated
    assert (event["tenant"], "tenant" in event["actor"]["verified"]) == ("other", False)


@pytest.mark.parametrize(
    ("stated", "field"),
    [
        ({"id": "bob"}, "events[0].actor.id"),
        ({"id": "alice", "roles": ["admin"]}, "events[0].actor.roles"),
        ({"session_id": "s-2"}, "events[0].actor.session_id"),
        ({"auth_method": "pwd"}, "events[0].actor.auth_method"),
    ],
)
def test_a_stated_actor_that_contradicts_its_token_is_refused(recorder, provider, stated, field):
    code, at, description = recorder.refusal(recorder.event(provider.token(), actor=stated))
    assert (code, at) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert "the actor's token says" in description


FORGED = {
    "another key's signature": lambda p: p.token(key=Ed25519PrivateKey.generate()),
    "another audience": lambda p: p.token(aud="audit.example.com"),
    "no expiry": lambda p: p.token(exp=None),
    "too long a life": lambda p: p.token(exp=int(time.time()) + 7_200),
    "bound to a key": lambda p: p.token(cnf={"jkt": "x"}),
    "no subject": lambda p: p.token(sub=None),
    "two parts": lambda p: p.token().rpartition(".")[0],
    "text": lambda _: "alice",
    "of 128 KiB": lambda _: "a" * (128 << 10),
    "not ASCII": lambda p: p.token() + "é",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_token_that_is_no_good_refuses_its_event(recorder, provider, kind):
    code, at, _ = recorder.refusal(recorder.event(FORGED[kind](provider)))
    assert (code, at) == (grpc.StatusCode.INVALID_ARGUMENT, "events[0].actor_token")


def test_an_event_that_a_token_makes_larger_than_any_good_one_is_refused_unread(recorder):
    code, at, description = recorder.refusal(recorder.event("a" * (1 << 20)))
    assert (code, at) == (grpc.StatusCode.INVALID_ARGUMENT, "events[0]")
    assert "limit 262144" in description


def test_the_token_of_a_caller_does_not_make_an_actor(recorder, users_server):
    event = recorder.recorded(recorder.event(users_server.token("writer")))
    assert (event["actor"]["identity"], event["actor"]["identity_reason"]) == ("asserted", "TOKEN_UNKNOWN_ISSUER")


def test_the_token_of_an_actor_does_not_make_a_call(recorder, provider):
    recorder.metadata = (("authorization", f"Bearer {provider.token(aud='audit.example.com')}"),)
    with pytest.raises(grpc.RpcError) as caught:
        recorder.append(recorder.event())
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_refused_token_is_seen_in_access(recorder, users_server, provider):
    recorder.refusal(recorder.event(provider.token(sub="mallory", key=Ed25519PrivateKey.generate())))
    done = users_server.cli("query", 'reason = "ACTOR_TOKEN_REFUSED"', "--log", "access", "--output", "jsonl")
    assert "call.refuse" in done.stdout


UNJUDGED = {
    "TOKEN_UNKNOWN_ISSUER": lambda p: p.token(iss="https://gone.example.com"),
    "TOKEN_UNKNOWN_KEY": lambda p: p.token(key=Ed25519PrivateKey.generate(), kid="users-0"),
    "TOKEN_EXPIRED": lambda p: p.token(now=time.time() - 7_200),
    "TOKEN_NOT_YET_VALID": lambda p: p.token(nbf=int(time.time()) + 500),
}


@pytest.mark.parametrize("reason", UNJUDGED)
def test_a_token_that_cannot_be_judged_leaves_the_actor_asserted_with_the_reason(recorder, provider, reason):
    stated = {"id": "bob", "roles": ["boss"]}
    actor = recorder.recorded(recorder.event(UNJUDGED[reason](provider), actor=stated))["actor"]
    assert len(actor.pop("credential")) == 64
    assert actor == {**stated, "identity": "asserted", "identity_reason": reason}


def test_a_token_is_judged_as_of_its_event(recorder, provider):
    then = time.time() - 7 * 86_400
    token = provider.token(now=then)
    assert recorder.recorded(recorder.event(token, at=then))["actor"]["identity"] == "verified"
    assert recorder.recorded(recorder.event(token, at=then + 7_200))["actor"]["identity"] == "asserted"
    assert recorder.recorded(recorder.event(token, at=then + 60))["actor"]["identity"] == "verified"


def test_beyond_the_age_of_events_a_token_is_judged_as_of_now(recorder, provider):
    then = time.time() - 40 * 86_400
    actor = recorder.recorded(recorder.event(provider.token(now=then), at=then))["actor"]
    assert actor["identity_reason"] == "TOKEN_EXPIRED"


def test_the_same_event_again_is_the_same_whatever_became_of_its_token(recorder, provider, users_server):
    """Promise 5: duplicates are found before tokens are judged, and by what was sent."""
    token = provider.token()
    requests = {
        "verified": recorder.event(token),
        "stated too": recorder.event(token, actor={"type": "user", "id": "alice"}, tenant="acme"),
        "unknown key": recorder.event(UNJUDGED["TOKEN_UNKNOWN_KEY"](provider), actor={"id": "bob"}),
        "claims dropped": recorder.event(provider.token(email="alice@example.com")),
    }
    first = {name: recorder.append(request).receipts[0] for name, request in requests.items()}
    users_server.stop()
    config = users_server.folder / "auditd.toml"
    text = config.read_text()
    config.write_text(text.replace(SETTINGS, SETTINGS.replace('drop_claims = ["email"]', "leeway_s = 0")))
    (users_server.folder / "users.json").write_text(provider.jwks(Ed25519PrivateKey.generate(), "users-2"))
    users_server.start()
    try:
        again = Recorder(users_server, provider)
        for name, request in requests.items():
            receipt = again.append(request).receipts[0]
            assert (receipt.duplicate, receipt.leaf) == (True, first[name].leaf), name
        config_of_now = again.recorded(again.event(token))
        assert config_of_now["actor"]["identity_reason"] == "TOKEN_UNKNOWN_KEY"
    finally:
        users_server.stop()
        config.write_text(text)
        (users_server.folder / "users.json").write_text(provider.jwks())
        users_server.start()


def test_the_same_name_with_another_token_is_another_event(recorder, provider):
    request = recorder.event(provider.token())
    recorder.append(request)
    for token in (provider.token(), ""):
        request.events[0].actor_token = token
        code, field, _ = recorder.refusal(request)
        assert (code, field) == (grpc.StatusCode.ALREADY_EXISTS, "events[0].actor_token")


def test_stating_what_the_token_says_is_the_same_event(recorder, provider):
    request = recorder.event(provider.token())
    first = recorder.append(request).receipts[0]
    request.events[0].actor.id = "alice"
    assert recorder.append(request).receipts[0].index == first.index
    request.events[0].actor.name = "Alice"
    code, field, _ = recorder.refusal(request)
    assert (code, field) == (grpc.StatusCode.ALREADY_EXISTS, "events[0].actor.name")


def test_a_batch_is_refused_whole_and_names_each_event(recorder, provider):
    request = recorder.event(provider.token())
    request.events.append(recorder.event(provider.token(), actor={"id": "bob"}).events[0])
    code, field, _ = recorder.refusal(request)
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "events[1].actor.id")
    request.events[1].actor.id = "alice"
    assert len(recorder.append(request).receipts) == 2


def test_old_tokens_are_verified_again_by_their_recorded_keys(recorder, provider, users_server, tmp_path):
    then = time.time() - 7 * 86_400
    cases = {
        "VERIFIED": provider.token(now=then),
        "CLAIMS_DROPPED": provider.token(now=then, email="alice@example.com"),
        "KEY_UNKNOWN": provider.token(now=then, key=Ed25519PrivateKey.generate(), kid="users-0"),
        "NOT_YET_RECORDED": provider.token(),
    }
    index = {}
    for verdict, token in cases.items():
        at = 0 if verdict == "NOT_YET_RECORDED" else then
        index[verdict] = recorder.append(recorder.event(token, at=at)).receipts[0].index
    deadline = time.monotonic() + 20
    while recorder.verdicts(index["VERIFIED"])[1] == "NOT_YET_RECORDED" and time.monotonic() < deadline:
        recorder.append(recorder.event())  # the signature follows behind the answer, within a second
    found = {verdict: recorder.verdicts(at)[1] for verdict, at in index.items()}
    assert found == {verdict: verdict for verdict in cases}
    leaf = json.loads(users_server.cli("get", str(index["VERIFIED"]), "--output", "json").stdout)
    credential = leaf["event"]["actor"]["credential"]
    exported, bundle = tmp_path / "credential.json", tmp_path / "entry.tlog-proof"
    assert users_server.cli("credential", credential, "-o", str(exported)).returncode == 0
    assert users_server.cli("prove", str(index["VERIFIED"]), "-o", str(bundle)).returncode == 0
    jwks = tmp_path / "users.json"
    jwks.write_text(provider.jwks())
    offline = {"AUDITLOG_ADDRESS": "", "AUDITLOG_TOKEN": ""}
    arguments = (str(bundle), str(exported), "--key", users_server.vkey, "--jwks", str(jwks))
    done = users_server.cli("verify", *arguments, env=offline)
    assert (done.returncode, f"entries {index['VERIFIED']} (actor)" in done.stdout) == (0, True), done.stderr
    jwks.write_text(provider.jwks(Ed25519PrivateKey.generate()))
    assert users_server.cli("verify", str(exported), "--jwks", str(jwks), env=offline).returncode == 1
    checked = users_server.check()
    assert (checked.returncode, "[CLAIMS_DROPPED]" in checked.stdout) == (0, True), checked.stdout


def test_no_signature_is_lost_or_repeated_by_kills_while_they_move(recorder, provider, users_server):
    then = time.time() - 3_600
    index = []
    for _ in range(4):
        for _ in range(25):  # those that expired long ago are due at once
            token = provider.token(now=then)
            index.append(recorder.append(recorder.event(token, at=then)).receipts[0].index)
        users_server.kill()
        users_server.start()
        recorder.stub = users_server.stub()
    until(lambda: recorder.append(recorder.event()) and recorder.verdicts(index[-1])[1] == "VERIFIED")
    assert {recorder.verdicts(one)[1] for one in index} == {"VERIFIED"}
    checked = users_server.check()
    assert (checked.returncode, "SIGNATURE_LOST" in checked.stdout) == (0, False), checked.stdout


def test_dropped_claims_are_in_no_file_of_the_server(recorder, provider, users_server):
    recorder.append(recorder.event(provider.token(email="zyx@dropped.example.com")))
    secret = encode_base64url(b"zyx@dropped.example.com")[:20].encode()
    files = [path for path in users_server.folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"zyx@dropped" in path.read_bytes() or secret in path.read_bytes()] == []


def test_a_revoked_token_leaves_the_actor_asserted(recorder, provider, users_server):
    token = provider.token(jti="revoke-me")
    assert recorder.recorded(recorder.event(token))["actor"]["identity"] == "verified"
    done = users_server.cli("token", "revoke", "--issuer", ISSUER, "--jti", "revoke-me", "--reason", "stolen")
    assert done.returncode == 0, done.stderr
    assert recorder.recorded(recorder.event(token))["actor"]["identity_reason"] == "TOKEN_REVOKED"
