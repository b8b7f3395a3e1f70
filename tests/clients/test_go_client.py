"""A client in another language, generated from `proto/` alone, appends with nothing but that and a token."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auditd_client import verify
from demo._server import running_server

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).resolve().parent / "go"
PROTOS = ("auditd/v1/event.proto", "auditd/v1/audit_log_service.proto")
PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
)
# The protos name no Go package, as they name none of any language; so each user picks one.
MAPPING = ",".join(["module=appendone", *(f"M{proto}=appendone/auditd/v1" for proto in PROTOS)])


def unavailable(reason):
    """Skip, or fail where every tool is meant to be there."""
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command, cwd, **options):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The compiled client, its stubs made from `proto/` a moment ago."""
    if shutil.which("go") is None:
        unavailable("Go is not installed")
    folder = tmp_path_factory.mktemp("go") / "appendone"
    shutil.copytree(PROGRAM, folder)
    modules = subprocess.run(["go", "mod", "download"], cwd=folder, capture_output=True, text=True, check=False)
    if modules.returncode != 0:
        unavailable(f"Go modules cannot be had: {modules.stderr.strip()}")
    run("go", "build", "-o", "bin/", *PLUGINS, cwd=folder)
    run(
        sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}",
        *(f"--plugin=bin/{plugin.rpartition('/')[2]}" for plugin in PLUGINS),
        "--go_out=.", f"--go_opt={MAPPING}", "--go-grpc_out=.", f"--go-grpc_opt={MAPPING}", *PROTOS,
        cwd=folder,
    )  # fmt: skip
    run("go", "build", "-o", "bin/appendone", ".", cwd=folder)
    return folder / "bin" / "appendone"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("go-server") / "server", "go.example.com") as server:
        yield server


def test_go_client_appends_and_its_receipt_is_true(program, server):
    environment = {"AUDITLOG_TOKEN": server.token("svc-go", "writer")}
    printed = run(str(program), server.address, cwd=program.parent, env=environment)
    receipt = json.loads(printed)
    leaf = receipt["leaf"].encode()
    event = json.loads(leaf)["event"]
    assert receipt["duplicate"] is False
    assert hashlib.sha256(b"\0" + leaf).hexdigest() == receipt["leaf_hash"]
    assert (event["actor"]["id"], event["outcome"]) == ("zoë", "FAILURE")
    assert b'"attributes":{"amount":1.10}' in leaf
    checkpoint = verify.open_checkpoint(receipt["checkpoint"], server.vkey)
    assert checkpoint.size > receipt["index"]


def test_go_client_without_a_token_is_told_why(program, server):
    done = subprocess.run([program, server.address], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Unauthenticated" in done.stderr
