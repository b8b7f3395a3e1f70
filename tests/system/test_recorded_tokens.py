"""The tokens behind entries, kept and verified again through a real server."""

from __future__ import annotations

import json

import pytest

from auditd_client import Client, NotFoundError
from auditd_client.verify import Credential, verify_credential

HIDDEN = "00" * 32


@pytest.fixture(scope="module")
def written(shared_server):
    """The index of an entry, and the hash of its caller's credential."""
    done = shared_server.cli("append", "--action", "user.login", "--output", "jsonl")
    index = json.loads(done.stdout)["index"]
    leaf = json.loads(shared_server.cli("get", str(index), "--output", "json").stdout)
    return index, leaf["caller"]["credential"]


def test_a_token_still_good_is_shown_without_its_signature(shared_server, written):
    token = shared_server.token("admin")
    with Client(shared_server.address, token) as client:
        found = client.credential(bytes.fromhex(written[1]))
    assert (found.signature, found.waits) == (None, True)
    assert verify_credential(found).claims["roles"] == ["admin"]


@pytest.mark.parametrize("command", ["get", "query"])
def test_reading_says_what_became_of_the_tokens(shared_server, written, command):
    wanted = [str(written[0])] if command == "get" else [f"index = {written[0]}"]
    plain = shared_server.cli(command, *wanted, "--output", "jsonl").stdout
    done = shared_server.cli(command, *wanted, "--verify-tokens", "--output", "jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f'{{"caller_token":"NOT_YET_RECORDED","leaf":{plain.strip()}}}\n'
    assert "NOT_YET_RECORDED" in shared_server.cli(command, *wanted, "--verify-tokens").stdout


def test_the_exported_credential_is_judged_offline(shared_server, written, tmp_path):
    file = tmp_path / "credential.json"
    done = shared_server.cli("credential", written[1], "-o", str(file))
    assert (done.returncode, done.stderr) == (
        0,
        f"{file}: token of https://audit.example.com/local, NOT_YET_RECORDED\n",
    )
    assert Credential.parse(file.read_text()).credential.hex() == written[1]
    done = shared_server.cli("verify", str(file), env={"AUDITLOG_ADDRESS": "", "AUDITLOG_TOKEN": ""})
    assert done.returncode == 1
    assert "NOT_YET_RECORDED" in done.stderr


def test_reading_a_credential_is_an_entry_of_access(shared_server, written):
    shared_server.cli("credential", written[1])
    done = shared_server.cli("query", f'action = "log.get_credential" AND "{written[1]}"', "--log", "access")
    assert "log.get_credential" in done.stdout


def test_what_is_no_credential_is_refused(shared_server):
    with Client(shared_server.address, shared_server.token("reader")) as client:
        with pytest.raises(NotFoundError) as caught:
            client.credential(bytes(32))
        assert caught.value.reason == "CREDENTIAL_NOT_FOUND"
        with pytest.raises(Exception, match="credential: 3 bytes, must be 32"):
            client.credential(b"abc")
    assert shared_server.cli("credential", HIDDEN).returncode == 2
    assert shared_server.cli("credential", "41").returncode == 2


def test_a_writer_may_not_read_credentials(shared_server, written):
    assert shared_server.cli("credential", written[1], role="writer").returncode == 3


def test_a_lost_pending_db_is_reported_by_all_readers(make_server):
    server = make_server()
    server.cli("append", "--action", "user.login")
    assert "NOT_YET_RECORDED" in server.cli("get", "0", "--verify-tokens").stdout
    server.kill()
    for path in (server.folder / "logs" / "main").glob("pending.db*"):
        path.unlink()
    done = server.check()
    assert done.returncode == 0, done.stdout
    assert "log main: that 1 of its tokens were forged, for their signatures are neither in the" in done.stdout
    assert "[SIGNATURE_LOST]" in done.stdout
    server.start()
    assert "SIGNATURE_LOST" in server.cli("get", "0", "--verify-tokens").stdout
