"""Runs what the documents show: console sessions and files of a page, in one shell, in a folder of their own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.stand_in import stand_in

ROOT = Path(__file__).resolve().parents[2]
COMMAND_LIMIT_S = 60.0
DEFAULT_PORT = "7443"
_MARKED = re.compile(
    r"^<!-- (session|file: (?P<name>\S+)) -->\n```[a-z]+\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
# What differs from one run to the next: anything for an ellipsis, any time for a time, any hash for a hash.
_VARYING = re.compile(rf"(?P<any>…)|(?P<time>{_TIME})|(?P<hash>[0-9a-f]{{8,}})")
_END = "-- end of command"


@dataclass(frozen=True)
class Step:
    """A command as a page shows it, with the lines that it shows below."""

    command: str
    expected: list[str]


def steps_of(session: str) -> list[Step]:
    """Take a console session apart: a command stands behind `$ `, and goes on in lines behind `> `."""
    steps: list[Step] = []
    for line in session.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], []))
        elif line.startswith("> "):
            steps[-1] = Step(f"{steps[-1].command}\n{line[2:]}", [])
        else:
            steps[-1].expected.append(line)
    return steps


def pattern_of(line: str) -> re.Pattern[str]:
    """Return what a shown line stands for."""
    pattern, end = "", 0
    for found in _VARYING.finditer(line):
        pattern += re.escape(line[end : found.start()])
        pattern += ".*" if found["any"] else _TIME if found["time"] else "[0-9a-f]+"
        end = found.end()
    return re.compile(pattern + re.escape(line[end:]))


def differences(expected: list[str], printed: list[str]) -> list[str]:
    """Return the shown lines that were not printed in this order; a line that is an ellipsis stands for any number."""
    found = iter(line.rstrip() for line in printed)
    missing = []
    gap = False
    for shown in expected:
        if shown == "…":
            gap = True
            continue
        wanted = pattern_of(shown.rstrip())
        line = next((line for line in found if not gap or wanted.fullmatch(line)), None)
        gap = False
        if line is None or not wanted.fullmatch(line):
            missing.append(f"shown {shown!r}, printed {line!r}")
    rest = [] if gap else list(found)
    return missing + [f"not shown, printed {line!r}" for line in rest]


class Shell:
    """One bash, which keeps variables and background jobs from command to command."""

    def __init__(self, folder: Path, programs: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AUDITLOG_")}
        environment |= {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), environment["PATH"]]),
            "PYTHONPATH": str(ROOT / "client/python/src"),
        }
        self._process = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, step: Step) -> list[str]:
        """Return what a command prints; of one in the background as many lines as are shown."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{step.command}\necho\necho '{_END}'\n")
        self._process.stdin.flush()
        watchdog = threading.Timer(COMMAND_LIMIT_S, self._process.kill)
        watchdog.start()
        try:
            return self._printed(step)
        finally:
            watchdog.cancel()

    def _printed(self, step: Step) -> list[str]:
        in_background = step.command.rstrip().endswith("&")
        printed: list[str] = []
        ended = False
        while not ended or (in_background and len(printed) < len(step.expected)):
            line = self._line()
            if line == _END:
                ended = True
                # The blank line before the end belongs to it, unless the command's last line had no line feed.
                if printed and printed[-1] == "":
                    printed.pop()
            else:
                printed.append(line)
        return [line for line in printed if line] if in_background else printed

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError("the shell ended")
        return line.rstrip("\n")

    def close(self) -> None:
        """End what runs in the background, and the shell."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill $(jobs -p) 2>/dev/null; wait; exit\n")
        self._process.stdin.flush()
        self._process.communicate(timeout=60)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def run_page(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """Return a function that runs what a page marks, in its order, and fails where it shows something else."""
    programs = tmp_path_factory.mktemp("programs")
    with stand_in(programs):
        yield from page_runner(tmp_path, programs)


@pytest.fixture
def run_page_as_installed(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """As `run_page`, and `auditlog` is started from the very file that users start."""
    yield from page_runner(tmp_path, Path(sys.executable).parent)


def page_runner(folder: Path, programs: Path) -> Iterator[Callable[..., None]]:
    shell = Shell(folder, programs)
    port = free_port()

    def run(page: str, *, before: str = "", tools: tuple[str, ...] = ()) -> None:
        require_tools(*tools)
        for step in steps_of(before.replace(DEFAULT_PORT, port)):
            shell.run(step)
            listen_on(folder, port)
        marked = list(_MARKED.finditer((ROOT / page).read_text(encoding="utf-8")))
        assert marked, f"{page} shows nothing that could be run"
        wrong = []
        for block in marked:
            body = block["body"].replace(DEFAULT_PORT, port)
            if block["name"]:
                (folder / block["name"]).write_text(body, encoding="utf-8")
                continue
            for step in steps_of(body):
                printed = shell.run(step)
                wrong += [f"$ {step.command}\n  {what}" for what in differences(step.expected, printed)]
                listen_on(folder, port)
        if wrong:
            pytest.fail("\n".join([f"{page} is not what happens:", *wrong]), pytrace=False)

    yield run
    shell.close()


def listen_on(folder: Path, port: str) -> None:
    """Have the server folders that a session made listen on a port that is free here."""
    for config in folder.glob("*/auditd.toml"):
        text = config.read_text(encoding="utf-8")
        if f":{DEFAULT_PORT}" in text:
            config.write_text(text.replace(f":{DEFAULT_PORT}", f":{port}"), encoding="utf-8")


@pytest.fixture(name="require_tools")
def require_tools_fixture() -> Callable[..., None]:
    """Return `require_tools`."""
    return require_tools


def require_tools(*names: str) -> None:
    """Skip where a tool is missing; fail where every tool is meant to be there."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing and os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
