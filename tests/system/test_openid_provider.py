"""A real OpenID provider (npm's oidc-provider): its tokens are taken, and its keys rotate while calls go on."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import grpc
import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.providers import until

PROGRAM = Path(__file__).resolve().parents[1] / "oidc"
SETTINGS = """\
format = 1
origin = "audit.example.com"

[[issuers]]
issuer = "ISSUER"
discovery = true
allow_plain_http = true
algorithms = ["EdDSA"]
jwks_min_age_s = 1
jwks_max_age_s = 2

[issuers.claims]
roles = "realm_access.roles"

[issuers.roles]
audit-writers = ["writer", "auditor"]
"""


def unavailable(reason):
    """Skip, or fail where every tool is meant to be there."""
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


class OpenIdProvider:
    """The provider's process; `command` changes its keys and returns the names of those published."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "provider.mjs"],
            cwd=PROGRAM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.issuer = self._process.stdout.readline().strip()
        if not self.issuer:
            self.close()
            pytest.fail("the provider ended at once; see `node tests/oidc/provider.mjs`")

    def command(self, line: str) -> list[str]:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().split()

    def token(self) -> str:
        """Get an access token as a service does, by its client credentials."""
        form = {
            "grant_type": "client_credentials",
            "client_id": "svc-billing",
            "client_secret": "secret",
            "scope": "audit",
            "resource": "https://audit.example.com",
        }
        data = urllib.parse.urlencode(form).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.issuer}/token", data, timeout=30) as answer:
            return json.load(answer)["access_token"]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def provider():
    if shutil.which("node") is None or shutil.which("npm") is None:
        unavailable("Node is not installed, so no OpenID provider can be run")
    if not (PROGRAM / "node_modules").is_dir():
        command = ["npm", "ci", "--prefix", str(PROGRAM), "--no-audit", "--no-fund", "--loglevel", "error"]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            unavailable(f"oidc-provider cannot be installed: {installed.stderr.strip()[-500:]}")
    running = OpenIdProvider()
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(provider, serve_folder):
    return serve_folder(SETTINGS.replace("ISSUER", provider.issuer))


def header_of(token):
    part = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def refusal(stub, token):
    """Ask for a checkpoint; return the message of the refusal, or nothing."""
    try:
        stub.GetCheckpoint(pb.GetCheckpointRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=30)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return ""


def test_its_token_says_who_calls_and_which_roles_they_have(server, provider, auditlog):
    token = provider.token()
    assert header_of(token)["typ"] == "at+jwt"
    environment = {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": token}
    done = auditlog("append", "--action", "invoice.create", "--outcome", "SUCCESS", env=environment)
    assert done.returncode == 0, done.stderr
    entry = json.loads(auditlog("get", "0", "--output", "jsonl", env=environment).stdout)
    assert (entry["caller"]["iss"], entry["caller"]["sub"]) == (provider.issuer, "svc-billing")
    denied = auditlog("token", "revocations", env=environment)
    assert "PERMISSION_DENIED" in denied.stderr, "roles of theirs that are not mapped give nothing"


def test_its_keys_rotate_while_calls_go_on(server, provider):
    stub, stop, refused, calls = server.stub(), threading.Event(), [], [0]

    def go_on():
        while not stop.is_set():
            problem = refusal(stub, token[0])
            calls[0] += 1
            if problem:
                refused.append(problem)

    token = [provider.token()]
    caller = threading.Thread(target=go_on)
    caller.start()
    try:
        for _ in range(3):
            provider.command("rotate")
            new = provider.token()
            assert header_of(new)["kid"] != header_of(token[0])["kid"]
            # Not at once within `jwks_min_age_s` of the last time that an unknown key was asked for.
            until(lambda new=new: refusal(stub, new) == "")
            token[0] = new
    finally:
        stop.set()
        caller.join()
    assert refused == []
    assert calls[0] > 10


def test_key_that_it_has_retired_is_refused(server, provider):
    old = provider.token()
    assert refusal(server.stub(), old) == ""
    provider.command("rotate")
    provider.command("retire")
    stub = server.stub()
    until(lambda: refusal(stub, old))  # within `jwks_max_age_s`
    assert refusal(stub, old).startswith("UNAUTHENTICATED: token header kid")
    assert refusal(server.stub(), provider.token()) == ""


def test_id_token_is_no_access_token(server, provider):
    header, payload, signature = provider.token().split(".")
    changed = json.dumps({**header_of(f"{header}.."), "typ": "JWT"}).encode()
    forged = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
    assert "expected 'at+jwt'" in refusal(server.stub(), f"{forged}.{payload}.{signature}")
