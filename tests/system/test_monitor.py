"""`auditlog monitor` against real servers: one that is honest, and copies of its folder with another history."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess

import pytest


@pytest.fixture
def copies(tmp_path):
    """Return a function that puts a copy of a stopped server's folder beside it; all are stopped at the end."""
    made = []

    def copy(server, name):
        folder = tmp_path / name
        shutil.copytree(server.folder, folder)
        made.append(dataclasses.replace(server, folder=folder, process=None, _channels=[]))
        return made[-1]

    yield copy
    for server in made:
        server.stop()


def append(server, *numbers):
    lines = "".join(f'{{"id":"e-{n}","time":"2026-11-20T10:00:00Z","action":"a.{n}"}}\n' for n in numbers)
    done = server.cli("append", "-", input=lines, role="importer")
    assert done.returncode == 0, done.stderr


def poll(server, state, *options):
    """Let the monitor of a state file look once; its exit status and what it reported."""
    flags = ("--state", str(state), "--key", server.vkey, "--once", "--output", "jsonl", "--timeout", "5")
    done = server.cli("monitor", *flags, *options, role="auditor")
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


def test_follows_an_honest_server_and_finds_out_every_other(make_server, copies, auditlog, tmp_path):
    honest, state = make_server(), tmp_path / "state"
    append(honest, 0, 1, 2)
    assert poll(honest, state, "--from-start")[1]["entries_to"] == 3
    honest.stop()
    forked, same_size, rolled_back = (copies(honest, name) for name in ("forked", "same-size", "rolled-back"))
    honest.start()
    append(honest, 3, 4)
    status, line = poll(honest, state)
    assert (status, line["status"], line["size"], line["entries_to"]) == (0, "extended", 5, 5)

    for server, numbers, reason in (
        (forked, (13, 14, 15), "does not extend the one of size 5"),
        (same_size, (13, 14), "does not extend the one of size 5"),
        (rolled_back, (), "is behind the checkpoint of size 5"),
    ):
        server.start()
        if numbers:
            append(server, *numbers)
        evidence = tmp_path / f"evidence-of-{server.folder.name}"
        status, line = poll(server, state, "--evidence", str(evidence))
        assert (status, line["status"]) == (1, "contradiction")
        assert reason in line["message"]
        (folder,) = evidence.iterdir()
        notes = auditlog("verify", str(folder / "known"), str(folder / "offered"), "--key", honest.vkey)
        assert notes.returncode == 0, notes.stderr
        assert auditlog("verify", str(folder / "proof.json"), "--key", honest.vkey).returncode == 1
        server.stop()

    status, line = poll(honest, state)
    assert (status, line["status"]) == (0, "unchanged")
    honest.stop()
    assert poll(honest, state)[0] == 3


def test_a_service_outlives_the_server_and_goes_on_when_it_is_back(make_server, auditlog, tmp_path):
    server = make_server()
    append(server, 0)
    token = tmp_path / "token"
    token.write_text(server.token("auditor"))
    command = [
        "auditlog", "monitor", "--state", str(tmp_path / "state"), "--interval", "0.05", "--output", "jsonl",
        "--address", server.address, "--key", server.vkey, "--token-file", str(token), "--timeout", "2",
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AUDITLOG_")}
    with subprocess.Popen(
        [str(auditlog.__globals__["AUDITLOG"]), *command[1:]], stdout=subprocess.PIPE, text=True, env=environment
    ) as monitor:
        statuses = (json.loads(line)["status"] for line in monitor.stdout)
        try:
            assert next(statuses) == "started"
            server.kill()
            assert "failed" in statuses
            server.start_on(server.address.rpartition(":")[2])
            append(server, 1)
            assert "extended" in statuses
        finally:
            monitor.terminate()


def test_a_state_is_for_one_monitor_at_a_time_and_a_pipe_is_none(shared_server, auditlog, tmp_path):
    append(shared_server, 0)
    state = tmp_path / "state"
    os.mkfifo(tmp_path / "pipe")
    flags = ("--key", shared_server.vkey, "--once", "--timeout", "5")
    refused = shared_server.cli("monitor", "--state", str(tmp_path / "pipe"), *flags, role="auditor")
    assert (refused.returncode, "pipe: is no regular file" in refused.stderr) == (2, True)

    environment = {"AUDITLOG_ADDRESS": shared_server.address, "AUDITLOG_TOKEN": shared_server.token("auditor")}
    command = [
        str(auditlog.__globals__["AUDITLOG"]), "monitor", "--state", str(state), "--key", shared_server.vkey,
        "--interval", "3600",
    ]  # fmt: skip
    with subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert "started" in first.stdout.readline()
            kept = state.read_bytes()
            second = shared_server.cli("monitor", "--state", str(state), *flags, role="auditor")
            assert (second.returncode, "another monitor has this state" in second.stderr) == (2, True)
            assert state.read_bytes() == kept
        finally:
            first.kill()
    assert poll(shared_server, state)[0] == 0
