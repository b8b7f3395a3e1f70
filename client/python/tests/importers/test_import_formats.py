"""A sample of each format, and the events that it becomes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from auditd_client import event_to_dict
from auditd_client.importers import FORMATS, BadLine, Importer, importer, opened, parse_mapping

SAMPLES = Path(__file__).parent / "samples"
FILES = {
    "jsonl": "events.jsonl",
    "kubernetes": "kubernetes.jsonl",
    "github": "github.json",
    "okta": "okta.json",
    "linux-audit": "audit.log",
    "syslog": "syslog.log",
    "csv": "door.csv",
}


def importer_of(name):
    if name == "csv":
        return Importer(parse_mapping((SAMPLES / "door.toml").read_text()), "csv")
    return importer(name)


def read(name, path=None):
    with opened(str(path or SAMPLES / FILES[name])) as source:
        return [one for batch in importer_of(name).read(source) for one in batch]


def events(name, path=None):
    """Read a sample; its events as mappings, the attributes parsed and numbers as written."""
    found = []
    for one in read(name, path):
        assert not isinstance(one, BadLine), one
        event = event_to_dict(one.event)
        event["attributes"] = json.loads(event.pop("attributes_json", "{}"), parse_int=str, parse_float=str)
        found.append(event)
    return found


def test_json_lines_have_the_names_of_an_event():
    first, second = events("jsonl")
    assert first == {
        "id": "e-1",
        "time": "2026-11-20T10:00:00Z",
        "action": "user.login",
        "outcome": "FAILURE",
        "actor": {"type": "user", "id": "alice", "roles": ["a", "b"]},
        "resources": [{"type": "account", "id": "42"}],
        "origin": {"ip": "203.0.113.9"},
        "producer": {"id": "web", "seq": 7},
        "attributes": {"mfa": False, "amount": "1.10"},
    }
    assert second["actor"] == {"id": "alice"}
    assert second["attributes"] == {
        "time": "2026-11-20T10:00:01.5Z",
        "actor": {"id": "alice", "shoe_size": "43"},
        "colour": "blue",
    }


def test_kubernetes_says_who_did_what_to_which_object():
    denied, received, started, failed = events("kubernetes")
    assert denied["id"] == "5b1c2f0e-8f0a-4c1f-9d5e-2a6b1f0c7d11/ResponseComplete"
    assert (denied["time"], denied["action"], denied["outcome"]) == (
        "2026-11-20T08:15:00.123456Z", "secrets.get", "DENIED"
    )  # fmt: skip
    assert denied["reason"] == 'secrets "db-password" is forbidden'
    assert denied["actor"]["type"] == "serviceaccount"
    assert denied["actor"]["id"] == "system:serviceaccount:payments:reporter"
    assert denied["actor"]["roles"][-1] == "system:authenticated"
    assert denied["resources"] == [{"type": "secrets", "id": "payments/db-password", "name": "db-password"}]
    assert denied["origin"] == {
        "ip": "10.40.3.17",
        "user_agent": "kubectl/v1.31.0 (linux/amd64) kubernetes/9edcffc",
        "method": "get",
        "endpoint": "/api/v1/namespaces/payments/secrets/db-password",
        "request_id": "5b1c2f0e-8f0a-4c1f-9d5e-2a6b1f0c7d11",
    }
    assert "outcome" not in received
    assert (started["action"], started["outcome"]) == ("pods/exec.create", "SUCCESS")
    assert started["attributes"]["impersonatedUser"] == {"username": "system:admin"}
    assert (failed["action"], failed["outcome"], failed["actor"]["type"]) == ("request.get", "FAILURE", "node")
    assert "resources" not in failed


def test_kubernetes_lists_are_read_as_lines_are():
    assert events("kubernetes", SAMPLES / "kubernetes-list.json") == events("kubernetes")[:2]


def test_github_says_who_did_what_in_which_organisation():
    added, bot, request, login = events("github")
    assert added["id"] == "Zk1-aQ7Yb_Lw9"
    assert added["time"] == "2025-11-20T08:00:00.123Z"
    assert (added["action"], added["outcome"], added["tenant"]) == ("org.add_member", "SUCCESS", "acme")
    assert added["actor"] == {"type": "user", "id": "4711", "name": "olga-ops"}
    assert added["resources"] == [{"type": "user", "id": "newcomer"}]
    assert added["attributes"]["@timestamp"] == "1763625600123"
    assert bot["actor"]["type"] == "bot"
    assert bot["actor"]["auth_method"] == "GitHub App server-to-server token"
    assert bot["resources"] == [{"type": "repository", "id": "acme/ledger"}]
    assert len(request["id"]) == 34
    assert request["outcome"] == "DENIED"
    assert request["origin"]["method"] == "DELETE"
    assert request["origin"]["endpoint"] == "/repos/acme/ledger"
    assert (login["outcome"], login["origin"]["ip"]) == ("FAILURE", "2001:db8::7")


def test_okta_says_who_did_what_to_whom():
    login, added, denied, challenged = events("okta")
    assert login["id"] == "f0e1d2c3-0001-11f0-8000-aabbccddeeff"
    assert (login["time"], login["action"]) == ("2026-11-20T09:00:01.250Z", "user.session.start")
    assert (login["outcome"], login["reason"]) == ("FAILURE", "INVALID_CREDENTIALS")
    assert login["actor"] == {
        "type": "User",
        "id": "00u1abcd2EFGH3ijk4l5",
        "name": "marta@example.com",
        "session_id": "102xYzAbCdEf",
        "auth_method": "PASSWORD",
    }
    assert login["origin"] == {
        "ip": "203.0.113.77",
        "user_agent": "Mozilla/5.0 (Macintosh)",
        "endpoint": "/api/v1/authn",
        "request_id": "ab12cd34",
    }
    assert login["attributes"]["client"]["geographicalContext"]["geolocation"]["lon"] == "-9.14"
    assert [resource["type"] for resource in added["resources"]] == ["User", "UserGroup"]
    assert added["outcome"] == "SUCCESS"
    assert denied["outcome"] == "DENIED"
    assert "outcome" not in challenged


def test_linux_audit_joins_the_records_of_an_event_and_decodes_them():
    started, login, read_shadow, ran, connected = events("linux-audit")
    assert (started["action"], started["outcome"]) == ("daemon_start.start", "SUCCESS")
    assert (login["action"], login["outcome"]) == ("user_login.login", "FAILURE")
    assert login["actor"] == {"type": "user", "id": "ghost", "name": "ghost"}
    assert login["origin"] == {"ip": "203.0.113.66"}
    assert login["resources"] == [{"type": "program", "id": "/usr/sbin/sshd"}, {"type": "account", "id": "ghost"}]

    assert read_shadow["time"] == "2025-11-20T09:13:22.100Z"
    assert (read_shadow["action"], read_shadow["outcome"]) == ("syscall.openat", "DENIED")
    assert read_shadow["actor"] == {"type": "user", "id": "1000", "name": "maria", "session_id": "3"}
    assert read_shadow["origin"] == {"device_id": "web-1"}
    assert read_shadow["resources"][0] == {"type": "file", "id": "/etc/shadow"}
    attributes = read_shadow["attributes"]
    assert attributes["types"] == ["SYSCALL", "CWD", "PATH", "PROCTITLE"]
    assert attributes["fields"]["proctitle"] == "cat /etc/shadow"
    assert attributes["fields"]["key"] == "shadow-read"
    assert len(attributes["original"]) == 5

    assert ran["action"] == "syscall.execve"
    assert ran["attributes"]["fields"]["comm"] == "my tool"
    assert ran["attributes"]["fields"]["cwd"] == "/srv/da ta"
    assert ran["attributes"]["arguments"] == ["my-tool", "--name=Zo\u00eb the 1st", "--file=x.txt"]
    assert [path["name"] for path in ran["attributes"]["paths"]][1] == "/lib64/ld-linux-x86-64.so.2"
    assert (ran["actor"]["id"], ran["actor"]["name"]) == ("1000", "maria")

    assert connected["actor"] == {"type": "user", "id": "33"}
    fields = connected["attributes"]["fields"]
    assert (fields["saddr_fam"], fields["laddr"], fields["lport"]) == ("inet", "192.168.1.10", "80")


def test_no_line_of_an_audit_log_is_dropped():
    kept = [line for event in events("linux-audit") for line in event["attributes"]["original"]]
    assert sorted(kept) == sorted((SAMPLES / "audit.log").read_text().rstrip("\n").split("\n"))


def test_syslog_is_taken_apart_and_kept():
    accepted, invoice, panic, bare = events("syslog")
    assert (accepted["time"], accepted["action"]) == ("2026-11-20T10:00:00.003Z", "sshd.AUTH")
    assert accepted["actor"] == {"type": "process", "id": "bastion.example.com/sshd", "name": "sshd"}
    assert accepted["origin"] == {"device_id": "bastion.example.com"}
    assert (accepted["attributes"]["facility"], accepted["attributes"]["severity"]) == ("authpriv", "informational")
    assert accepted["attributes"]["message"].startswith("Accepted publickey")
    assert invoice["time"] == "2026-11-20T10:00:00.500Z"
    assert invoice["origin"] == {"ip": "192.0.2.44", "device_id": "edge-2"}
    assert invoice["attributes"]["structured_data"]["acme@32473"] == {"note": 'a "quoted" ] value', "tag": ["a", "b"]}
    assert invoice["attributes"]["message"] == "Invoice 7 written: \u00c4\u00d6"
    assert panic["action"] == "kern.emergency"
    assert "message" not in bare["attributes"]
    lines = (SAMPLES / "syslog.log").read_text(encoding="utf-8").splitlines()
    assert [event["attributes"]["original"] for event in events("syslog")] == lines


def test_csv_follows_its_mapping_file():
    opened_gate, refused, again = events("csv")
    assert opened_gate["time"] == "2026-11-20T06:58:11Z"
    assert (opened_gate["action"], opened_gate["outcome"]) == ("door.open", "SUCCESS")
    assert opened_gate["actor"] == {"type": "badge", "id": "0017", "name": "Ruiz; Marta"}
    assert opened_gate["resources"] == [{"type": "door", "id": "Main gate"}]
    assert opened_gate["attributes"] == {
        "When": "20.11.2026 07:58:11", "Door": "Main gate", "Result": "granted", "Note": ""
    }  # fmt: skip
    assert refused["outcome"] == "DENIED"
    assert refused["attributes"]["Note"] == 'said "try again"\ntwice'
    assert refused["id"][:-1] == again["id"][:-1]
    assert (refused["id"][-2:], again["id"][-2:]) == ("-1", "-2")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_every_format_is_the_same_read_again_and_compressed(name, compress, tmp_path):
    packed = tmp_path / "packed"
    packed.write_bytes(compress((SAMPLES / FILES[name]).read_bytes()))
    assert events(name, packed) == events(name)


@pytest.mark.parametrize("name", [name for name in FILES if name != "csv"])
def test_line_ends_of_windows_change_no_name(name, tmp_path):
    changed = tmp_path / "crlf"
    changed.write_bytes((SAMPLES / FILES[name]).read_bytes().replace(b"\n", b"\r\n"))
    assert [event["time"] for event in events(name, changed)] == [event["time"] for event in events(name)]
    if not FILES[name].endswith(".json"):
        assert [event["id"] for event in events(name, changed)] == [event["id"] for event in events(name)]


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_is_searched_by_the_names_of_the_format(name):
    if name in FILES:
        assert importer(name).accepts(SAMPLES / FILES[name])
        assert importer(name).accepts(SAMPLES / (FILES[name] + ".gz"))
    assert not importer(name).accepts(SAMPLES / "readme.md")
