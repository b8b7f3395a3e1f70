"""Runs `auditlog` in this process, against the in-memory log that the library's tests use."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click.testing
import pytest
from click.testing import CliRunner

from auditd_client.cli import main

# One double of the service serves both suites; pytest shares fixtures only downwards.
_spec = importlib.util.spec_from_file_location(
    "library_conftest", Path(__file__).parents[1] / "library" / "conftest.py"
)
library = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(library)

server_for_all = library.server_for_all
double = library.double
address = library.address
service = library.service
connect = library.connect
pauses = library.pauses


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """No setting of whoever runs the tests reaches a command."""
    for name in ("ADDRESS", "TOKEN", "TOKEN_FILE", "CA", "KEY", "LOG", "INSECURE", "PROFILE"):
        monkeypatch.delenv(f"AUDITLOG_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def auditlog():
    """Run `auditlog` with arguments, and input if there is any; nothing is a terminal."""

    def run(*args, stdin=None, env=None):
        result = CliRunner().invoke(main, [str(arg) for arg in args], input=stdin, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def connected(double, address, monkeypatch):
    """The log behind the server that every command finds in its environment."""
    monkeypatch.setenv("AUDITLOG_ADDRESS", address)
    monkeypatch.setenv("AUDITLOG_TOKEN", "token-1")
    return double


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout a terminal, and stderr none."""
    monkeypatch.setattr(
        click.testing._NamedTextIOWrapper, "isatty", lambda stream: stream.name == "<stdout>", raising=False
    )
    monkeypatch.setenv("COLUMNS", "200")
