"""A running server whose system calls are traced, and made to fail or to end it, by strace."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.injected import require_strace
from tests.forked import AUDITLOG
from tests.system.conftest import Server


@contextmanager
def traced(
    server: Server, syscalls: str, paths: Iterable[Path], inject: str = "", trace: str = os.devnull
) -> Iterator[subprocess.Popen[str]]:
    """Trace what a running server does to some files, to the file `trace`; `inject` is of strace's form."""
    command = [require_strace(), "-f", "-o", trace, "-p", str(server.process.pid), "-e", f"trace={syscalls}"]
    for path in paths:
        command += ["-P", str(path)]
    command += ["-e", f"inject={inject}"] if inject else []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        line = tracer.stderr.readline()
        # Of a path that is not there yet it says so first.
        while "attached" not in line:
            if not line or "not permitted" in line:
                pytest.skip(f"strace may not trace a running server here: {line.strip()}")
            line = tracer.stderr.readline()
        try:
            yield tracer
        finally:
            tracer.terminate()
            tracer.communicate(timeout=60)


@contextmanager
def failing(server: Server, syscall: str, error: str, *files: str, when: str = "1+") -> Iterator[None]:
    """Have a system call of a running server fail on files of main: the `when`-th of each thread, as strace has it."""
    paths = [server.folder / "logs/main" / file for file in files]
    with traced(server, syscall, paths, f"{syscall}:error={error}:when={when}"):
        yield


@contextmanager
def starting(server: Server, *files: str, when: str) -> Iterator[subprocess.Popen[str]]:
    """Run `serve` while its reads of files of main are refused, from the first on; it is to end with the block."""
    command = [require_strace(), "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=pread64"]
    for file in files:
        command += ["-P", str(server.folder / "logs/main" / file)]
    command += ["-e", f"inject=pread64:error=EIO:when={when}", AUDITLOG, "serve", str(server.folder)]
    with subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True) as process:
        yield process


def stop_traced(server: Server) -> None:
    """Have a server that was started under a tracer, which ignores signals, stop."""
    os.kill(int((server.folder / "logs/main/lock").read_text()), signal.SIGTERM)
