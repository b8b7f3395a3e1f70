"""The command `auditlog` as a process of its own, forked from one that has imported everything already.

A start takes most of a second of a processor, nearly all of it imports, and the tests make hundreds. What runs is what
a user runs, in a process with its own id, files, folder and environment, and a child of whoever asked, which can kill
it and wait for it. Where a setting matters before the first import, or more than that is asked of `Popen`, the command
is started as usual; so it is in the tests of guides and of the demo.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import inspect
import io
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

AUDITLOG = str(Path(sys.executable).with_name("auditlog"))
_PR_SET_CHILD_SUBREAPER = 36
_MAX_REQUEST = 1 << 20
_EARLY = ("PYTHON", "LC_", "LANG", "AUDITD_", "LD_", "MALLOC_", "GRPC_", "TZ", "SSL_", "OPENSSL_")
"""What begins the names of variables that are read while Python starts or libraries are imported."""
_PLAIN = {
    "preexec_fn": None,
    "pass_fds": (),
    "shell": False,
    "executable": None,
    "start_new_session": False,
    "process_group": -1,
    "gid": None,
    "gids": None,
    "uid": None,
    "umask": -1,
}
_asking = threading.Lock()


class Forked(subprocess.Popen[Any]):
    """As `subprocess.Popen`."""

    def _execute_child(self, *arguments: Any) -> None:
        usual = super()._execute_child  # type: ignore[misc]
        asked = inspect.signature(usual).bind(*arguments).arguments
        command = list(map(os.fspath, asked["args"])) if isinstance(asked["args"], list | tuple) else []
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        plain = all(asked[name] == value for name, value in _PLAIN.items())
        if command[:1] != [AUDITLOG] or not plain or _early(environment) != _early(dict(os.environ)):
            usual(*arguments)
            return
        files = [
            given if given != -1 else own
            for own, given in enumerate((asked["p2cread"], asked["c2pwrite"], asked["errwrite"]))
        ]
        self.pid = fork(command, os.fspath(asked["cwd"] or Path.cwd()), environment, files)
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))  # type: ignore[attr-defined]


def run(command: list[str], *, timeout: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` does with its output captured as text."""
    if "input" in options:
        options["stdin"] = subprocess.PIPE
    given = options.pop("input", None)
    process = Forked(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    with process:
        try:
            out, err = process.communicate(given, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _early(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_EARLY)}


def fork(command: list[str], folder: str, environment: dict[str, str], files: list[int]) -> int:
    """Start a command with these as its first three files; return its process, a child of this one."""
    request = json.dumps({"argv": command, "cwd": folder, "env": environment}).encode()
    with _asking:
        channel = _origin()
        # The process is an orphan for a moment, and becomes a child of this one; later orphans are none of its concern.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        try:
            socket.send_fds(channel, [request], files)
            return int(channel.recv(64))
        finally:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0)


@functools.cache
def _origin() -> socket.socket:
    """Start the process that others are forked from, one for each that runs tests; return how to ask it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen([sys.executable, "-P", __file__, str(its.fileno())], pass_fds=[its.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(channel: socket.socket) -> None:
    """Fork for each request, until the asking side is closed; return in each process that was forked."""
    while True:
        request, files, _, _ = socket.recv_fds(channel, _MAX_REQUEST, 3)
        if not request:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            # Its child is an orphan once this ends.
            child = os.fork()
            if child == 0:
                os.close(reading)
                os.close(writing)
                channel.close()
                _become(json.loads(request), files)
                return
            os.write(writing, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)
        channel.send(os.read(reading, 64))
        for file in (reading, writing, *files):
            os.close(file)


def _become(request: dict[str, Any], files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["argv"]
    sys.stdin, sys.stdout, sys.stderr = _text(0, sys.stdin), _text(1, sys.stdout), _text(2, sys.stderr)


def _text(number: int, before: Any) -> io.TextIOWrapper:
    file = io.FileIO(number, "w" if number else "r", closefd=False)
    buffered = io.BufferedWriter(file) if number else io.BufferedReader(file)
    at_lines = number == 2 or os.isatty(number)
    return io.TextIOWrapper(buffered, before.encoding, before.errors, line_buffering=at_lines)


def _end(status: object) -> None:
    """End as an interpreter does, but for freeing every object: that touches, and so copies, all that is shared."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        file.flush()
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def _import_all() -> None:
    # As `auditlog` and its command `serve` have it before they import gRPC.
    os.environ |= {"GRPC_VERBOSITY": "NONE", "GRPC_ENABLE_FORK_SUPPORT": "0"}
    from auditd_client.cli._group import COMMANDS

    served = ("_access", "_backup", "_check_indexes", "_clock_confirmation", "_resume", "_serve", "_succeed", "_tokens")
    names = ["auditd.cli", "auditd.cli._check", "auditd.cli._serve", *(f"auditd.server.{name}" for name in served)]
    names += ["auditd_client._admin_client", "click._textwrap", "encodings.idna", "grpc._channel", "grpc.aio"]
    names += ["importlib.resources.readers", "lark", "rich._emoji_codes", "uvloop"]
    for name in names:
        importlib.import_module(name)
    for module, _ in COMMANDS.values():
        importlib.import_module(module)
    # The grammar is read with the first filter.
    importlib.import_module("auditd.filter").parse("action = a")


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    from auditd_client.cli import main

    try:
        main()
    except SystemExit as ended:
        _end(ended.code)
