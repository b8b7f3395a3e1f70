"""A real server as a process of its own, and the `auditlog` command beside it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

AUDITLOG = Path(sys.executable).with_name("auditlog")
START_LIMIT_S = 30.0
STOP_LIMIT_S = 30.0


class CommandError(Exception):
    """A command did not end as it should; the message holds what it printed."""


@dataclass(slots=True)
class Server:
    """A server folder, and the process that serves it until `stop`."""

    folder: Path
    address: str
    vkey: str
    process: subprocess.Popen[bytes]

    def token(self, subject: str, role: str) -> str:
        """Return a token of the folder's own issuer, valid for 15 minutes."""
        return auditlog(
            "token", "issue", str(self.folder), "--sub", subject, "--role", role, "--ttl", "15m"
        ).stdout.strip()

    def start(self) -> float:
        """Serve the folder again, at the same address; return how long that took until it answered, in seconds.

        Raises CommandError if it does not answer within 30 s.
        """
        started = time.monotonic()
        said = self.folder.with_name(self.folder.name + ".log")
        self.process = _serve(self.folder, self.address, said)
        _await_answer(self, said)
        return time.monotonic() - started

    def stop(self) -> None:
        """End the process in good order; kill it if it does not obey."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def auditlog(
    *arguments: str,
    expect: int | None = 0,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `auditlog` and return how it ended; of the user's own settings it sees none.

    Raises CommandError if its exit status is not `expect`; None accepts any.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AUDITLOG_")}
    done = subprocess.run(
        [AUDITLOG, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        # Profiles lie in that folder; here there are none.
        env={**inherited, "XDG_CONFIG_HOME": sys.prefix, **(environment or {})},
    )
    if expect is not None and done.returncode != expect:
        said = (done.stderr or done.stdout).strip()
        command = shlex.join(["auditlog", *arguments])
        raise CommandError(f"{command}: exit status {done.returncode}, not {expect}\n{said}")
    return done


@contextmanager
def running_server(
    folder: Path,
    origin: str,
    tell: Callable[[str], None] = lambda _: None,
    *,
    init: Sequence[str] = (),
    configure: Callable[[Path], None] = lambda _: None,
) -> Iterator[Server]:
    """Make a server folder, serve it on a free port of this machine, and stop it at the end.

    `tell` gets each command line as it is run. What the server prints goes to `FOLDER.log`. `init` are further
    arguments of that command; `configure` may change the folder before it is served.

    Raises CommandError if the folder cannot be made, or the server does not answer within 30 s.
    """
    tell(f"auditlog init {folder.name} --origin {origin}")
    made = json.loads(auditlog("init", str(folder), "--origin", origin, *init, "--output", "json").stdout)
    configure(folder)
    address = f"127.0.0.1:{_free_port()}"
    tell(f"auditlog serve {folder.name} --listen {address}")
    said = folder.with_name(folder.name + ".log")
    server = Server(folder, address, made["vkey"], _serve(folder, address, said))
    try:
        _await_answer(server, said)
        yield server
    finally:
        server.stop()


def _serve(folder: Path, address: str, said: Path) -> subprocess.Popen[bytes]:
    with said.open("wb") as output:
        # A session of its own: ctrl-C is for the caller, who then stops the server by its process id.
        return subprocess.Popen(
            [AUDITLOG, "serve", str(folder), "--listen", address],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_answer(server: Server, said: Path) -> None:
    host, _, port = server.address.rpartition(":")
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            if server.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            raise CommandError(f"auditlog serve does not answer:\n{said.read_text().strip()}") from None
        return
