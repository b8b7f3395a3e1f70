"""A log to export, the same for every test of exports, and the command that exports it."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from auditd_client import Client
from auditd_client.exports import Request
from tests.hostile_text import recordable
from tests.system.conftest import AUDITLOG, Server, after

COUNT = 3_000
_TOKENS: dict[str, str] = {}
DAYS = 3
HOSTILE = [hostile.text for hostile in recordable()]
LAST_DAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


def event(number: int) -> dict:
    """One event of many: over three days, out of order, in two regions."""
    moment = LAST_DAY - timedelta(days=number % DAYS, seconds=(number * 7919) % 3600, milliseconds=number % 1000)
    return {
        "id": f"event-{number}",
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "tenant": "acme" if number % 4 else "globex",
        "action": ("user.login", "file.read", "role.create", "GetObject", "key.rotate")[number % 5],
        "outcome": ("SUCCESS", "FAILURE", "DENIED")[number % 3],
        "reason": HOSTILE[number % len(HOSTILE)],
        "actor": {"type": "user", "id": f"user-{number % 50}", "name": "Zoë", "roles": ["auditor", "admin"]},
        "resources": [{"type": "file", "id": f"/srv/{number}"}],
        "origin": {"ip": "203.0.113.9", "user_agent": "curl/8", "endpoint": "/login", "request_id": f"r{number}"},
        "producer": {"id": "billing", "seq": number},
        "attributes": {"region": ("eu-central-1", "us/east=1")[number % 2], "amount": number, "text": "x" * 600},
    }


def fill(server: Server) -> Server:
    """Record the events."""
    with Client(server.address, server.token("admin")) as client:
        list(client.append_stream(map(event, range(COUNT))))
    return server


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def jsonl(**more: object) -> Request:
    return Request(log="main", filter="", no_index=False, format="jsonl", **more)


def admin_token(server: Server) -> str:
    """Return a token of an administrator, the same one for each server."""
    if server.address not in _TOKENS:
        _TOKENS[server.address] = server.token("admin")
    return _TOKENS[server.address]


def run_export(server: Server, *arguments: str, limit_kib: int | None = None, **options: object):
    """Run the command; with a limit as on a disk that has no room for a larger file."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AUDITLOG_")}
    environment |= {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": admin_token(server)}
    command = (AUDITLOG,) if limit_kib is None else after(f"ulimit -f {2 * limit_kib}")
    return subprocess.run(
        [*command, "export", *arguments], env=environment, capture_output=True, timeout=60, check=False,
        **options,
    )  # fmt: skip


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
