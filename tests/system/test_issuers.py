"""Issuers as a running server sees them: keys that rotate while calls go on, and providers that misbehave."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.providers import running_provider, until
from tests.system.conftest import detail_of

HEAD = 'format = 1\norigin = "audit.example.com"\n'
SOURCES = ("hang", "away", "large", "html", "private", "twice", "gone")


def table(name, url, **settings):
    settings = {"allow_plain_http": True, "jwks_min_age_s": 1, **settings}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join(["[[issuers]]", f'issuer = "{name}"', f'jwks_url = "{url}"', *lines, ""])


def issuer(name):
    return f"https://{name}.example"


@pytest.fixture(scope="module")
def provider():
    with running_provider() as running:
        yield running


def call(server, token):
    """Ask for a checkpoint; return the reason of the refusal, or nothing."""
    metadata = (("authorization", f"Bearer {token}"),) if isinstance(token, str) else token
    try:
        server.stub().GetCheckpoint(pb.GetCheckpointRequest(), metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        return detail_of(error, ErrorInfo).reason
    return ""


def control(server, name):
    """What `control` says of an issuer's keys, in order."""
    done = server.cli("query", "", "--log", "control", "--output", "jsonl", "--order", "asc", "--limit", "0")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    keys = [event for event in events if event["action"].startswith("issuer_key.")]
    return [event for event in keys if event["attributes"]["issuer"] == issuer(name)]


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "idp.json"


@pytest.fixture(scope="module")
def server(provider, key_file, serve_folder):
    """A server that trusts good providers and every bad one; those that fail at start only delay it."""
    key = provider.jwks("bad")
    urls = {
        "good": provider.publish("good-1", path="/good"),
        "hang": provider.hang("/hang"),
        "mute": provider.hang("/mute"),
        "away": provider.redirect("/away", "http://127.0.0.2:9/jwks"),
        "large": provider.say("/large", key.ljust(10_000_000)),
        "html": provider.say("/html", "<html>Sign in</html>", Content_Type="text/html"),
        "private": provider.say("/private", key[:-3] + b', "d": "c2VjcmV0LXNlY3JldA"}]}'),
        "twice": provider.say("/twice", b'{"keys": [' + b", ".join([key[10:-2]] * 2) + b"]}"),
        "gone": provider.url + "/nowhere",
        "odd": provider.publish("odd-1", path="/odd"),
        "late": provider.say("/late", "not yet", 503),
        **{name: provider.publish(f"{name}-1", path=f"/{name}") for name in ("fresh", "leaving", "rotating")},
    }
    timeouts_s = {"hang": 2, "odd": 2, "mute": 60}
    tables = [table(issuer(name), url, jwks_timeout_s=timeouts_s.get(name, 10)) for name, url in urls.items()]
    aging = provider.publish("aging-1", path="/aging")
    tables.append(table(issuer("aging"), aging, jwks_max_age_s=1, jwks_max_stale_s=2))
    key_file.write_bytes(provider.jwks("file-1"))
    tables.append(f'[[issuers]]\nissuer = "{issuer("file")}"\njwks_file = "{key_file}"\n')
    return serve_folder(HEAD + "\n".join(tables))


def test_good_issuer_is_served_beside_bad_ones(server, provider):
    assert call(server, provider.token("good-1", issuer("good"))) == ""


def test_a_provider_that_does_not_answer_holds_up_no_start(server, provider):
    assert "no answer within 60 s" not in server.said
    assert call(server, provider.token("bad", issuer("mute"))) == "ISSUER_UNAVAILABLE"


@pytest.mark.parametrize("source", SOURCES)
def test_token_of_an_issuer_without_good_keys_can_be_tried_again(server, provider, source):
    assert call(server, provider.token("bad", issuer(source))) == "ISSUER_UNAVAILABLE"


def test_caller_whose_token_is_known_never_waits_for_a_provider(server, provider):
    token = provider.token("odd-1", issuer("odd"))
    assert call(server, token) == ""
    normal = provider.answers["/odd"]
    provider.hang("/odd")
    with ThreadPoolExecutor(8) as pool:
        strangers = [pool.submit(call, server, provider.token(f"new-{n}", issuer("odd"))) for n in range(8)]
        stub = server.stub()
        waits = []
        while not all(stranger.done() for stranger in strangers):
            started = time.perf_counter()
            stub.GetCheckpoint(pb.GetCheckpointRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=30)
            waits.append(time.perf_counter() - started)
    provider.answers["/odd"] = normal
    assert {stranger.result() for stranger in strangers} <= {"ISSUER_UNAVAILABLE", "TOKEN_UNKNOWN_KEY"}
    assert len(waits) > 20, "the known caller was served all the while"


@pytest.mark.parametrize(
    ("ahead_s", "reason"),
    [(600, "TOKEN_NOT_YET_VALID"), (-600, "TOKEN_EXPIRED"), (20, ""), (-20, "")],
)
def test_provider_whose_clock_is_ten_minutes_off(server, provider, ahead_s, reason):
    assert call(server, provider.token("good-1", issuer("good"), ahead_s=ahead_s)) == reason


def test_token_that_lives_too_long_is_refused(server, provider):
    token = provider.token("good-1", issuer("good"), exp=int(time.time()) + 7_200)
    assert call(server, token) == "TOKEN_LIFETIME"


def test_token_of_one_issuer_signed_by_the_key_of_another(server, provider):
    assert call(server, provider.token("good-1", issuer("odd"), named="odd-1")) == "TOKEN_BAD_SIGNATURE"


def test_token_of_a_mebibyte(server):
    assert call(server, "a" * 2**20) == "TOKEN_MALFORMED"


def test_token_of_more_than_grpc_takes_by_itself(server, provider):
    token = provider.token("good-1", issuer("good"), groups=[f"group-{number:06}" for number in range(800)])
    assert 14_000 < len(token) < 16_384
    assert call(server, token) == ""


@pytest.mark.parametrize("good", [0, 1])
def test_two_authorization_values(server, provider, good):
    tokens = [provider.token("good-1", issuer("good")), "nothing"]
    values = [tokens[good], tokens[1 - good]]
    assert call(server, [("authorization", f"Bearer {value}") for value in values]) == "TOKEN_MALFORMED"


def test_flood_of_unknown_keys_is_one_request_to_the_provider_at_a_time(server, provider):
    before = provider.asked.count("/good")
    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        tokens = [provider.token(f"flood-{number}", issuer("good")) for number in range(200)]
        reasons = set(pool.map(lambda token: call(server, token), tokens))
    assert reasons == {"TOKEN_UNKNOWN_KEY"}
    assert provider.asked.count("/good") - before <= 2 + (time.monotonic() - started)


# Keys that come and go


def test_new_key_is_accepted_at_once_and_recorded_before_it_is_used(server, provider):
    assert call(server, provider.token("fresh-1", issuer("fresh"))) == ""
    provider.publish("fresh-1", "fresh-2", path="/fresh")
    assert call(server, provider.token("fresh-2", issuer("fresh"))) == ""
    seen = control(server, "fresh")
    assert [(event["action"], event["attributes"]["kid"]) for event in seen] == [
        ("issuer_key.add", "fresh-1"),
        ("issuer_key.add", "fresh-2"),
    ]
    assert json.loads(seen[1]["attributes"]["jwk"])["x"] == provider.jwk("fresh-2")["x"]


def test_key_that_is_no_longer_published_is_refused_also_in_tokens_accepted_before(server, provider):
    old = provider.token("leaving-1", issuer("leaving"))
    assert call(server, old) == ""
    provider.publish("leaving-2", path="/leaving")
    assert call(server, provider.token("leaving-2", issuer("leaving"))) == ""
    assert call(server, old) == "TOKEN_UNKNOWN_KEY"
    actions = [event["action"] for event in control(server, "leaving")]
    assert actions == ["issuer_key.add", "issuer_key.add", "issuer_key.remove"]


def test_keys_rotate_while_calls_go_on(server, provider):
    refused = []
    with ThreadPoolExecutor(4) as pool:
        for generation in range(1, 4):
            kids = [f"rotating-{generation}", f"rotating-{generation + 1}"]
            provider.publish(*kids, path="/rotating")
            until(lambda kid=kids[1]: call(server, provider.token(kid, issuer("rotating"))) == "")
            tokens = [provider.token(kid, issuer("rotating")) for kid in kids for _ in range(20)]
            refused += [reason for reason in pool.map(lambda token: call(server, token), tokens) if reason]
    assert refused == []


def test_provider_that_comes_back_is_asked_again_without_a_restart(server, provider):
    token = provider.token("late-1", issuer("late"))
    provider.publish("late-1", path="/late")
    until(lambda: call(server, token) == "")


def test_set_that_grew_too_old_is_used_no_longer(server, provider):
    token = provider.token("aging-1", issuer("aging"))
    assert call(server, token) == ""
    provider.say("/aging", "out of order", 500)
    until(lambda: call(server, token) == "ISSUER_UNAVAILABLE")
    provider.publish("aging-1", path="/aging")
    until(lambda: call(server, token) == "")


def test_file_of_keys_is_read_again_when_it_changes(server, provider, key_file):
    old, new = (provider.token(kid, issuer("file")) for kid in ("file-1", "file-2"))
    assert (call(server, old), call(server, new)) == ("", "TOKEN_UNKNOWN_KEY")
    key_file.write_bytes(provider.jwks("file-1")[:-9])
    next_file = key_file.with_suffix(".next")
    next_file.write_bytes(provider.jwks("file-2"))
    next_file.replace(key_file)
    until(lambda: call(server, new) == "")
    assert call(server, old) == "TOKEN_UNKNOWN_KEY"


def test_first_and_last_sight_survive_restarts(provider, serve_folder):
    server = serve_folder(HEAD + table(issuer("idp"), provider.publish("first", path="/idp")))
    provider.publish("first", "second", path="/idp")
    assert call(server, provider.token("second", issuer("idp"))) == ""
    added = ["issuer_key.add"] * 2
    server.stop()
    provider.publish("second", path="/idp")
    server.start()
    gone = control(server, "idp")
    assert [event["action"] for event in gone] == [*added, "issuer_key.remove"], "one went while the server was down"
    assert gone[2]["attributes"]["thumbprint"] == gone[0]["attributes"]["thumbprint"]
    server.stop()
    (server.folder / "auditd.toml").write_text(HEAD)
    server.start()
    assert [event["action"] for event in control(server, "idp")] == [*added, *["issuer_key.remove"] * 2]
    assert call(server, provider.token("second", issuer("idp"))) == "TOKEN_UNKNOWN_ISSUER"


def test_what_went_wrong_is_said_without_keys_or_tokens(server, provider):
    """Ends the server to read all it said, so it comes last."""
    token = provider.token("good-1", issuer("good"))
    stderr = server.process.stderr
    server.process.terminate()
    said = stderr.read()
    server.process.wait()
    for name, problem in {
        "hang": "no answer within 2 s",
        "away": "redirects to another host",
        "large": "more than 524288 bytes",
        "html": "not JSON",
        "private": "a private key",
        "twice": "names two keys",
        "gone": "status 404",
    }.items():
        lines = [line for line in (server.said + said).splitlines() if f"issuer '{issuer(name)}'" in line]
        assert any(problem in line for line in lines), lines
    assert "c2VjcmV0" not in server.said + said
    assert not set(token.split(".")) & set(said.split())
