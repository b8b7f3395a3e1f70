"""The group: what is listed, what is imported, and how a command ends."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest

from auditd_client.cli import _group
from auditd_client.cli._group import COMMANDS


@pytest.fixture
def plug_in(monkeypatch):
    """Make these the plug-ins: their names, and what loading them returns or raises."""

    def install(**commands):
        class Plug:
            def __init__(self, name, loaded):
                self.name, self.value, self.loaded = name, f"package:{name}", loaded

            def load(self):
                if isinstance(self.loaded, Exception):
                    raise self.loaded
                return self.loaded

        plugs = {name: Plug(name, loaded) for name, loaded in commands.items()}
        monkeypatch.setattr(_group, "_plug_ins", lambda: plugs)

    return install


def test_lists_its_commands_without_importing_grpc_or_a_plug_in():
    program = (
        "import sys; from auditd_client.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "wrong = {'grpc', 'google.protobuf', 'rich', 'cryptography', 'auditd'} & sys.modules.keys()\n"
        "sys.exit(f'imported {wrong}' if wrong else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_in_the_list_is_that_of_the_command(name):
    module, summary = COMMANDS[name]
    command = import_module(module).command
    assert (command.name, command.short_help) == (name, summary)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(auditlog, name):
    result = auditlog(name, "--help")
    assert result.exit_code == 0
    command = import_module(COMMANDS[name][0]).command
    assert command.help
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


def test_runs_and_lists_what_is_plugged_in(auditlog, plug_in):
    @click.command(short_help="Wash the log.")
    @click.argument("folder")
    def launder(folder):
        click.echo(f"washed {folder}")

    plug_in(launder=launder)
    assert auditlog("launder", "x").stdout == "washed x\n"
    assert "launder  Wash the log." in auditlog("--help").stdout


def test_a_plug_in_does_not_replace_a_command_of_the_client(auditlog, plug_in):
    plug_in(verify=click.Command("verify", callback=lambda: click.echo("fine")))
    assert auditlog("verify").exit_code == 2


@pytest.mark.parametrize(
    ("loaded", "why"),
    [(ImportError("no module \x1b[31m"), "ImportError: no module \\u001b[31m"), (42, "it is no command")],
    ids=["import", "no command"],
)
def test_a_broken_plug_in_is_named_and_harms_no_other_command(auditlog, plug_in, loaded, why):
    plug_in(broken=loaded, serve=loaded)
    result = auditlog("broken")
    assert result.exit_code == 2
    assert result.stderr == (
        f"auditlog: broken: the plug-in package:broken cannot be loaded: {why}; reinstall or remove its package\n"
    )
    listing = auditlog("--help")
    assert listing.exit_code == 0
    assert "(broken)" in listing.stdout
    assert auditlog("query", "--help").exit_code == 0


@pytest.mark.parametrize("name", ["backup", "token"])
def test_a_group_without_a_command_shows_its_help(auditlog, name):
    result = auditlog(name)
    assert result.exit_code == 2
    assert result.stderr == auditlog(name, "--help").stdout


def test_works_without_the_server_and_says_what_needs_it(auditlog, plug_in):
    plug_in()
    assert "serve" not in auditlog("--help").stdout
    result = auditlog("serve", "x")
    assert result.exit_code == 2
    assert result.stderr == "auditlog: serve: this needs the server; install the package `auditd`\n"


def test_entry_points_are_found_by_their_group(monkeypatch):
    found = EntryPoint("launder", "package:launder", "auditlog.commands")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [found] if group == found.group else [])
    assert _group._plug_ins() == {"launder": found}


def failing(error):
    def fail():
        raise error

    return click.Command("failing", callback=fail)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (click.exceptions.Exit(3), 3, ""),
        (OSError(28, "No space left on device"), 2, "auditlog: output: No space left on device\n"),
        (FileNotFoundError(2, "No such file", "a\x1b"), 2, "auditlog: a\\u001b: No such file\n"),
        (ZeroDivisionError("x\ny"), 70, "auditlog: defect: ZeroDivisionError: x\\ny; please report it\n"),
    ],
    ids=["Ctrl-C", "abort", "closed pipe", "exit", "full disk", "file", "defect"],
)
def test_ends_without_a_traceback(auditlog, plug_in, error, status, text):
    plug_in(failing=failing(error))
    result = auditlog("failing")
    assert (result.exit_code, result.stderr, result.stdout) == (status, text, "")


def test_a_reader_that_goes_away_is_no_error():
    program = (
        "import click; from auditd_client.cli import _group, main\n"
        "command = click.Command('much', callback=lambda: [click.echo('x' * 1000) for _ in range(1000)])\n"
        "plug_in = type('PlugIn', (), {'name': 'much', 'load': lambda self: command})()\n"
        "_group._plug_ins = lambda: {'much': plug_in}\n"
        "main(['much'])"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_shows_its_version(auditlog):
    assert auditlog("--version").stdout.startswith("auditlog, version ")


def test_colours_only_a_terminal_that_wants_them(connected, auditlog, connect, request, monkeypatch):
    connect().append({"action": "a"})
    assert "\x1b" not in auditlog("query").stdout
    request.getfixturevalue("terminal")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1m" in auditlog("query").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in auditlog("query").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_names_every_command_and_option(name):
    reference = Path(__file__).parents[4].joinpath("docs", "reference", "command-line.md").read_text("utf-8")
    command = import_module(COMMANDS[name][0]).command
    assert f"## {name}\n" in reference
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert all(re.search(f"[` ]{flag}[` ]", reference) for flag in parameter.opts), parameter.opts
