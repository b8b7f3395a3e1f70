"""Servers whose logs were closed, and what is asked of them."""

from __future__ import annotations

import json
import shutil

import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb

MAIN = "audit.example.com/main"


def succeed(auditlog, server, name="main", *flags, reason="a new year"):
    return auditlog("log", "succeed", str(server.folder), name, "--reason", reason, *flags)


def request(*names, log="main", action="user.read", **options):
    message = pb.AppendRequest(log=log, **options)
    for name in names:
        event = message.events.add(id=name, action=action, outcome=1)
        event.time.FromSeconds(1_795_000_000)
        event.actor.id = "alice"
    return message


def call(server, method, message):
    return getattr(server.stub(), method)(message, metadata=(("authorization", f"Bearer {server.token('admin')}"),))


def leaves(server, *arguments):
    done = server.cli("query", "--output", "jsonl", "--order", "asc", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def first_event(server):
    """The event with which the successor of `main` begins."""
    return leaves(server, "--log", "main~2", "action = log.succeed")[0]["event"]


@pytest.fixture(scope="module")
def rotated(auditlog, serve_folder, tmp_path_factory):
    """A server whose `main` was closed with three entries, and a checkpoint of it; its successor has one."""
    server = serve_folder('format = 1\norigin = "audit.example.com"\n[limits]\nmax_event_age_s = 100000000\n')
    call(server, "Append", request("one", "two", "three"))
    server.stop()
    done = succeed(auditlog, server)
    assert done.returncode == 0, done.stderr
    assert "audit.example.com/main is closed, after 3 entries; audit.example.com/main~2 goes on as main" in done.stdout
    server.start()
    return server


@pytest.fixture(scope="module")
def two_entries(serve_folder):
    server = serve_folder('format = 1\norigin = "audit.example.com"\n[limits]\nmax_event_age_s = 100000000\n')
    call(server, "Append", request("one", "two"))
    server.stop()
    return server.folder


@pytest.fixture
def whole(two_entries, make_server):
    """A folder with two entries in `main`; not served."""
    return copied(two_entries, make_server)


def copied(folder, make_server):
    server = make_server(start=False)
    shutil.rmtree(server.folder)
    shutil.copytree(folder, server.folder)
    return server


def listed(server):
    lines = server.cli("logs", "--output", "jsonl").stdout.splitlines()
    return {log["name"]: log for log in map(json.loads, lines)}


def pages(server, **options):
    message = pb.QueryRequest(**options)
    while True:
        page = call(server, "Query", message)
        yield page
        if not page.next_page_token:
            return
        message.page_token = page.next_page_token
