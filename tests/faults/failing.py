"""System calls of a running server that fail, by strace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.injected import require_strace
from tests.system.conftest import Server


@contextmanager
def failing(server: Server, syscall: str, error: str, *files: str, when: str = "1+") -> Iterator[None]:
    """Have a system call of a running server fail on files of main: the `when`-th of each thread, as strace has it."""
    command = [require_strace(), "-f", "-o", os.devnull, "-p", str(server.process.pid), "-e", f"trace={syscall}"]
    for file in files:
        command += ["-P", str(server.folder / "logs/main" / file)]
    command += ["-e", f"inject={syscall}:error={error}:when={when}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        line = tracer.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace may not trace a running server here: {line.strip()}")
        try:
            yield
        finally:
            tracer.terminate()
            tracer.communicate(timeout=60)
