"""A real server process for every system test: started, killed and started again through the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from grpc_status import rpc_status

from auditd.server import load_config, local_issuer, make_folder
from auditd_proto.v1 import audit_log_service_pb2_grpc as stubs
from tests.forked import AUDITLOG, Forked, run

ORIGIN = "audit.example.com"

Detail = TypeVar("Detail", bound=Message)


def detail_of(error: grpc.RpcError, kind: type[Detail]) -> Detail:
    """Return what the status of a failed call holds of this kind; empty where it holds none."""
    found, status = kind(), rpc_status.from_call(error)
    for packed in status.details if status is not None else ():
        packed.Unpack(found)
    return found


def after(prepare: str) -> tuple[str, ...]:
    """The command, run by a shell that did something before; not by a fork of ours, where gRPC would say things."""
    return ("sh", "-c", f'{prepare}; exec "$0" "$@"', AUDITLOG)


def auditlog(
    *arguments: str, command: tuple[str, ...] = (AUDITLOG,), **options: object
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, without the settings of whoever runs the tests."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AUDITLOG_")}
    environment |= {"HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent"}
    environment |= options.pop("env", {})  # type: ignore[arg-type]
    return run([*command, *arguments], timeout=120, env=environment, **options)


@pytest.fixture(name="auditlog", scope="session")
def auditlog_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    return auditlog


@dataclass
class Server:
    """A server folder and, while it runs, the process that serves it."""

    folder: Path
    vkeys: dict[str, str]
    process: subprocess.Popen[str] | None = None
    address: str = ""
    said: str = ""
    command: tuple[str, ...] = (AUDITLOG,)
    clock: Callable[[], float] = time.time
    starts: type[subprocess.Popen[str]] = Forked
    """How a process is started."""
    _channels: list[grpc.Channel] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path) -> Server:
        """Make a server folder as `auditlog init` does, without a process of its own."""
        return cls(folder, dict(make_folder(folder, ORIGIN).verifier_keys))

    @property
    def vkey(self) -> str:
        return self.vkeys["main"]

    def start(self) -> None:
        self.start_on("0")

    def start_on(self, port: str) -> None:
        self.process = self.starts(
            [*self.command, "serve", str(self.folder), "--listen", f"127.0.0.1:{port}"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        said = []
        for line in self.process.stderr:
            said.append(line)
            if "is ready on" in line:
                self.address, self.said = line.split()[-1], "".join(said)
                return
        status = self.process.wait()
        self.process.stderr.close()
        self.process = None
        raise RuntimeError(f"serve ended with {status}: {''.join(said)}")

    def start_and_kill_after(self, seconds: float) -> None:
        """Start it, and kill it so much later, or at once when it is ready."""
        killer = threading.Timer(seconds, lambda: self.process and self.process.kill())
        killer.start()
        try:
            self.start()
        except RuntimeError as error:
            if "serve ended with -9" not in str(error):
                raise
        finally:
            self.kill()
            killer.join()

    def refuses_to_start(self, listen: str = "127.0.0.1:0") -> tuple[int, str]:
        """Run `serve` where it must refuse; return its exit status and what it said."""
        done = auditlog("serve", str(self.folder), "--listen", listen)
        return done.returncode, done.stderr

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        for channel in self._channels:
            channel.close()
        self._channels.clear()
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        self.process.stderr.close()
        self.process = None
        return status

    def token(self, *roles: str, subject: str = "svc-test", ttl_s: int = 3_600) -> str:
        """Issue a token as `auditlog token issue` does, without a process of its own."""
        config = load_config(self.folder)
        return local_issuer(config).issue(subject, roles, ttl_s, config.audience, self.clock())

    def memory_kb(self, field: str = "VmRSS") -> int:
        """Return the memory that the process has in kB, now, or with `VmHWM` at most so far."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])

    def check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return auditlog("check", str(self.folder), *arguments)

    def channel(self) -> grpc.Channel:
        channel = grpc.insecure_channel(self.address, options=[("grpc.max_receive_message_length", 16 << 20)])
        self._channels.append(channel)
        return channel

    def stub(self) -> stubs.AuditLogServiceStub:
        return stubs.AuditLogServiceStub(self.channel())

    def cli(self, *arguments: str, role: str = "admin", **options: object) -> subprocess.CompletedProcess[str]:
        """Run a networked command against this server."""
        environment = {"AUDITLOG_ADDRESS": self.address, "AUDITLOG_TOKEN": self.token(role)}
        environment |= options.pop("env", {})  # type: ignore[arg-type]
        return auditlog(*arguments, env=environment, **options)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Return a function that makes and starts a server of its own."""
    made: list[Server] = []

    def make(*, start: bool = True, limits: str = "") -> Server:
        folder = tmp_path / f"server{len(made)}"
        server = Server.make(folder)
        made.append(server)
        if limits:
            with (folder / "auditd.toml").open("a") as config:
                config.write(f"\n[limits]\n{limits}\n")
        if start:
            server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running server for a module whose tests do not disturb each other."""
    folder = tmp_path_factory.mktemp("shared") / "server"
    server = Server.make(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def serve_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Return a function that makes a folder with these settings and serves it until the module ends."""
    made: list[Server] = []

    def make(settings: str) -> Server:
        folder = tmp_path_factory.mktemp("served") / "server"
        made.append(Server.make(folder))
        (folder / "auditd.toml").write_text(settings)
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()
