"""The event types of the login side: listed, described, documented, and accepted by a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from auditd_client import Client
from auditd_client.event_types import EVENT_TYPES, missing_members
from tests.system.conftest import auditlog

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/login-events.md").read_text(encoding="utf-8")
OUTCOMES = {"SUCCESS", "FAILURE", "DENIED"}


def test_every_example_is_accepted_and_comes_back_as_it_was(shared_server, tmp_path):
    file = tmp_path / "examples.jsonl"
    file.write_text("".join(auditlog("events", action, "--example").stdout for action in EVENT_TYPES))
    done = shared_server.cli("append", str(file), "--output", "jsonl")
    assert done.returncode == 0, done.stderr
    with Client(shared_server.address, shared_server.token("reader")) as client:
        for line, known in zip(done.stdout.splitlines(), EVENT_TYPES.values(), strict=True):
            event = json.loads(client.get(json.loads(line)["index"]).leaf)["event"]
            event.get("actor", {}).pop("identity", None)
            assert {name: event[name] for name in known.example} == known.example


@pytest.mark.parametrize("action", EVENT_TYPES)
def test_an_example_has_what_its_type_requires(action):
    known = EVENT_TYPES[action]
    assert missing_members(known.example) == []
    assert known.example["outcome"] in outcomes(known)
    described = {path.split(".")[0].removesuffix("[]") for path in {**known.required, **known.optional}}
    assert set(known.example) <= described
    assert not known.required.keys() & known.optional.keys()


def outcomes(known):
    return {word for word in re.findall(r"[A-Z]+", known.required["outcome"].split(":")[0]) if word in OUTCOMES}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"actor": {"type": "user"}}, ["actor.id"]),
        ({"resources": []}, ["resources[].type", "resources[].id"]),
        ({"resources": [{"type": "token", "id": "a"}, {"type": "token"}]}, ["resources[].id"]),
        ({"attributes": {"issuer": "i"}}, ["attributes.client_id", "attributes.expires_at"]),
        ({"outcome": ""}, ["outcome"]),
        ({"action": "other"}, []),
    ],
    ids=["a member", "no resource", "one of the resources", "attributes", "empty", "an unknown type"],
)
def test_missing_members_are_named(change, missing):
    assert missing_members({**EVENT_TYPES["token.issue"].example, **change}) == missing


def test_the_command_lists_every_type():
    done = auditlog("events", "--output", "json")
    assert [known["action"] for known in json.loads(done.stdout)] == list(EVENT_TYPES)
    table = auditlog("events").stdout
    assert all(re.search(rf"^{re.escape(action)} ", table, re.MULTILINE) for action in EVENT_TYPES)


def test_the_command_describes_one_type():
    done = auditlog("events", "user.login")
    assert "actor.auth_method" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == EVENT_TYPES["user.login"].example
    done = auditlog("events", "user.logon")
    assert (done.returncode, "'user.logon' is none of user.login, " in done.stderr) == (2, True)
    assert auditlog("events", "--example").returncode == 2


def test_what_was_asked_for_is_there():
    wanted = ["user.login", "user.logout", "token.issue", "token.refresh", "token.expire", "token.revoke"]
    wanted += ["mfa.challenge", "permission.change"]
    assert set(wanted) <= set(EVENT_TYPES)
    assert outcomes(EVENT_TYPES["user.login"]) == OUTCOMES


def test_the_page_describes_every_type_and_member():
    sections = dict(re.findall(r"^## `(\S+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(EVENT_TYPES)
    for action, known in EVENT_TYPES.items():
        text = sections[action]
        assert text.strip().startswith(known.summary)
        rows = dict(re.findall(r"^\| `(\S+)` \| (?:yes|) ?\| (.+) \|$", text, re.MULTILINE))
        assert rows == {**known.required, **known.optional}
        assert set(re.findall(r"^\| `(\S+)` \| yes \|", text, re.MULTILINE)) == set(known.required)
        example = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)
        assert json.loads(example[1]) == known.example
