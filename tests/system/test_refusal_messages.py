"""What the command says when a call is refused: what is wrong, and only such advice as helps."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from auditd.identity import LocalIssuer
from tests.system.conftest import AUDITLOG, ORIGIN

FRESH = "get a fresh one"
SETTINGS = f"""format = 1
origin = "{ORIGIN}"

[[issuers]]
issuer = "https://idp.example.com"
jwks_file = "idp.json"

[[issuers]]
issuer = "https://away.example.com"
jwks_url = "https://127.0.0.1:1/jwks"
"""


@pytest.fixture(scope="module")
def idp():
    return LocalIssuer.create("https://idp.example.com")


@pytest.fixture(scope="module")
def server(serve_folder, idp, tmp_path_factory):
    jwks = tmp_path_factory.mktemp("idp") / "idp.json"
    jwks.write_bytes(idp.jwks())
    return serve_folder(SETTINGS.replace("idp.json", str(jwks)))


@pytest.fixture(scope="module")
def refusals(server, idp):
    now = time.time()
    other = LocalIssuer.create("https://idp.example.com")
    good = idp.issue("svc", ["admin"], 600, ORIGIN, now)
    return {
        "TOKEN_MISSING": "",
        "TOKEN_EXPIRED": idp.issue("svc", ["admin"], 600, ORIGIN, now - 3_000),
        "TOKEN_UNKNOWN_KEY": other.issue("svc", ["admin"], 600, ORIGIN, now),
        "TOKEN_NOT_YET_VALID": idp.issue("svc", ["admin"], 600, ORIGIN, now + 600),
        "TOKEN_WRONG_AUDIENCE": idp.issue("svc", ["admin"], 600, "elsewhere", now),
        "TOKEN_UNKNOWN_ISSUER": LocalIssuer.create("https://no.example.com").issue("svc", ["admin"], 60, ORIGIN, now),
        "TOKEN_BAD_SIGNATURE": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        "TOKEN_MALFORMED": good.rpartition(".")[0],
    }


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("TOKEN_MISSING", "give a token as AUDITLOG_TOKEN or --token-file"),
        ("TOKEN_EXPIRED", FRESH),
        ("TOKEN_UNKNOWN_KEY", FRESH),
        ("TOKEN_NOT_YET_VALID", "compare the clocks"),
        ("TOKEN_WRONG_AUDIENCE", "ask the operator what tokens this server expects"),
        ("TOKEN_UNKNOWN_ISSUER", "ask the operator what tokens this server expects"),
        ("TOKEN_BAD_SIGNATURE", "look whether all of the token is there"),
        ("TOKEN_MALFORMED", "look whether all of the token is there"),
    ],
)
def test_a_fresh_token_is_advised_only_where_it_helps(server, auditlog, refusals, reason, advice):
    token = refusals[reason]
    done = auditlog("logs", env={"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": token})
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert f"({reason}); {advice}" in done.stderr
    assert (FRESH in done.stderr) is (advice == FRESH)
    assert not any(part in done.stderr for part in token.split(".") if part)


def test_a_revocation_of_ones_own_token_names_the_option(server):
    done = server.cli("token", "revoke", "--issuer", f"https://{ORIGIN}/local", "--sub", "svc-test")
    assert done.returncode == 2
    assert done.stderr.endswith("(REVOKES_CALLER); if that is meant, add --include-caller\n")


def test_what_is_waited_for_is_said_at_once(server, idp):
    away = LocalIssuer.create("https://away.example.com").issue("svc", ["writer"], 600, ORIGIN, time.time())
    environment = {"PATH": os.environ["PATH"], "AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": away}
    process = subprocess.Popen(
        [AUDITLOG, "append", "--action", "a"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stderr.readline()
    finally:
        process.kill()
        process.communicate()
    assert said == (
        "auditlog: the keys of issuer 'https://away.example.com' could not be had, so its tokens cannot be judged now"
        " (ISSUER_UNAVAILABLE); trying again for up to 30 s\n"
    )


def test_a_call_that_waits_says_so_once_and_then_why_it_gave_up(auditlog):
    environment = {"AUDITLOG_ADDRESS": "127.0.0.1:1", "AUDITLOG_TOKEN": "x"}
    done = auditlog("append", "--action", "a", "--timeout", "1", env=environment)
    assert done.returncode == 3
    first, *_, last = done.stderr.splitlines()
    assert "no server answers" in first
    assert first.endswith("(UNREACHABLE); trying again for up to 1 s")
    assert "check --address" in last


def test_a_person_is_told_of_a_server_that_is_away_in_one_line(auditlog):
    done = auditlog("logs", env={"AUDITLOG_ADDRESS": "127.0.0.1:1", "AUDITLOG_TOKEN": "x"})
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)


@pytest.mark.parametrize("value", ["Bearer  abc.def.ghi", "Bearer abc.def.ghi ", "Bearer   "])
def test_blanks_around_a_token_are_named(server, value):
    import grpc

    from auditd_proto.v1 import audit_log_service_pb2 as pb

    with pytest.raises(grpc.RpcError) as refused:
        server.stub().ListLogs(pb.ListLogsRequest(), metadata=(("authorization", value),))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "authorization: expected 'Bearer <token>'" in refused.value.details()
    assert "abc" not in json.dumps(refused.value.details())
