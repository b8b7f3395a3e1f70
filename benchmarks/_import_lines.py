"""Lines of each import format, of our own making and like real ones in length and shape, all different."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

_BEGIN = datetime(2026, 11, 20, tzinfo=UTC)

DOOR_MAPPING = """\
[read]
as = "csv"
columns = ["when", "what", "who", "where", "how"]

[[field]]
to = "time"
from = "{when}"
moves = true

[[field]]
to = "action"
from = "door.{what}"

[[field]]
to = "actor.id"
from = "{who}"
moves = true

[[resource]]
type = "door"
id = "{where}"
"""


def _time(number: int) -> str:
    return (_BEGIN + timedelta(milliseconds=37 * number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _compact(members: Mapping[str, object]) -> str:
    return json.dumps(members, separators=(",", ":"))


def _event(number: int) -> str:
    actor = {"type": "user", "id": f"user-{number % 5000}", "session_id": f"s-{number:08x}"}
    return _compact(
        {
            "id": f"e-{number:012}", "time": _time(number), "action": "invoice.update", "outcome": "SUCCESS",
            "actor": actor, "resources": [{"type": "invoice", "id": str(number)}],
            "origin": {"ip": f"10.{number % 250}.1.9"}, "attributes": {"amount": number / 100, "currency": "EUR"},
        }
    )  # fmt: skip


def _kubernetes(number: int) -> str:
    name = f"front-{number:x}"
    return _compact(
        {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": f"a-{number:012}",
            "stage": "ResponseComplete", "requestURI": f"/api/v1/namespaces/web/pods/{name}", "verb": "patch",
            "user": {"username": f"user-{number % 500}@example.com", "groups": ["web", "system:authenticated"]},
            "sourceIPs": [f"10.40.3.{number % 250}"], "userAgent": "controller/v1.31.0 (linux/amd64)",
            "objectRef": {"resource": "pods", "namespace": "web", "name": name, "apiVersion": "v1"},
            "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": _time(number),
            "stageTimestamp": _time(number), "annotations": {"authorization.k8s.io/decision": "allow"},
        }
    )  # fmt: skip


def _github(number: int) -> str:
    return _compact(
        {
            "@timestamp": 1_763_600_000_000 + number, "_document_id": f"d{number:016x}", "action": "git.clone",
            "actor": f"dev-{number % 300}", "actor_id": number % 300, "actor_ip": "198.51.100.23", "org": "acme",
            "org_id": 9001, "repo": f"acme/service-{number % 90}", "repository_public": False, "business": "acme-inc",
            "transport_protocol_name": "ssh", "user_agent": "git/2.47", "created_at": 1_763_600_000_000 + number,
        }
    )  # fmt: skip


def _okta(number: int) -> str:
    user = {"id": f"00u{number % 900:017}", "type": "User", "alternateId": f"user-{number % 900}@example.com"}
    return _compact(
        {
            "uuid": f"u-{number:012}", "published": _time(number), "eventType": "user.session.start", "version": "0",
            "severity": "INFO", "displayMessage": "User login to Okta", "actor": user, "target": [user],
            "client": {"userAgent": {"rawUserAgent": "Mozilla/5.0"}, "ipAddress": "203.0.113.77", "device": "Computer"},
            "outcome": {"result": "SUCCESS"}, "authenticationContext": {"externalSessionId": f"s{number}"},
            "debugContext": {"debugData": {"requestUri": "/api/v1/authn", "requestId": f"r{number}"}},
        }
    )  # fmt: skip


def _audit(number: int) -> str:
    head = f"msg=audit({1_763_600_000 + number // 30}.{number % 1000:03}:{number})"
    return (
        f"type=SYSCALL {head}: arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=7ffd0 items=1 ppid=1 pid=7 "
        f'auid=1000 uid=0 gid=0 ses=3 comm="cat" exe="/usr/bin/cat" key="watch"\x1dSYSCALL=openat AUID="maria"\n'
        f'type=PATH {head}: item=0 name="/srv/data/{number}" inode={number} nametype=NORMAL\n'
        f"type=PROCTITLE {head}: proctitle=636174002F7372762F64617461\ntype=EOE {head}: "
    )


def _syslog(number: int) -> str:
    said = f"Accepted publickey for u{number} port 50022"
    return f"<86>1 {_time(number)} bastion-{number % 9} sshd {number} AUTH - {said}"


def _door(number: int) -> str:
    return f'{_time(number)},open,badge-{number % 700},"Gate {number % 40}, north",card {number}'


LINES: Mapping[str, Callable[[int], str]] = {
    "jsonl": _event,
    "kubernetes": _kubernetes,
    "github": _github,
    "okta": _okta,
    "linux-audit": _audit,
    "syslog": _syslog,
    "csv": _door,
}
"""A record of each format by its number; that of `linux-audit` is four lines, `csv` goes with DOOR_MAPPING."""


def write_lines(name: str, path: Path, records: int) -> None:
    """Write a file of records that are all different."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(LINES[name](number) + "\n" for number in range(records))
