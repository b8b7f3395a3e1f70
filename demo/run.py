"""The tour behind `make demo`: a server, a day's events, an incident found, proven, and not to be hidden."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from auditd_client import Client, ClientError
from demo._investigation import Finding, Search, find_incident, find_refusals
from demo._narration import Narrator
from demo._server import CommandError, Server, auditlog, running_server
from demo._tampering import change_entry, try_update
from demo.scenario import generate

ORIGIN = "audit.example.com"
SEED = 7
EVENTS = 12_000


@dataclass(slots=True)
class Tour:
    """What the parts of the tour hand on: where things are, and what was measured."""

    scratch: Path
    narrator: Narrator
    settings: argparse.Namespace
    measured: list[tuple[str, str]] = field(default_factory=list)
    entries: int = 0

    def auditlog(self, *arguments: str, expect: int = 0, environment: dict[str, str] | None = None) -> str:
        """Run a command in the scratch folder, show it, and return what it printed."""
        self.narrator.command(shlex.join(["auditlog", *arguments]))
        done = auditlog(*arguments, expect=expect, environment=environment, folder=self.scratch)
        return (done.stdout + done.stderr).strip()


def main() -> None:
    """Give the tour; exit with 1 and a line on standard error if something does not go as told."""
    signal.signal(signal.SIGTERM, _leave)
    settings = _settings()
    began = time.perf_counter()
    try:
        with TemporaryDirectory(prefix="auditlog-demo-") as scratch:
            tour = Tour(Path(scratch), Narrator(), settings)
            _give(tour)
            tour.measured.append(("the whole tour", f"{time.perf_counter() - began:.1f} s"))
            _sum_up(tour)
    except KeyboardInterrupt:
        sys.exit("demo: interrupted; the server is stopped and its folder removed")
    except (CommandError, ClientError, OSError) as error:
        sys.exit(f"demo: {error}")


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--data", type=_folder, help="import the CloudTrail files of this folder instead")
    parser.add_argument("--events", type=int, default=EVENTS, help="length of the day; default %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="which day it is; default %(default)s")
    return parser.parse_args()


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text}: no such file or folder")
    return path


def _leave(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _give(tour: Tour) -> None:
    tour.narrator.chapter("A server from nothing: one folder, one process")
    with running_server(tour.scratch / "server", ORIGIN, tour.narrator.command) as server:
        tour.narrator.say(f"Its verifier key, all an auditor ever needs:\n{server.vkey}")
        if tour.settings.data:
            _import_cloudtrail(tour, server)
        else:
            _append_scenario(tour, server)
        finding = _investigate(tour, server)
        _prove(tour, server, finding)
    _tamper(tour, server.folder, finding)


def _append_scenario(tour: Tour, server: Server) -> None:
    tour.narrator.chapter("A day of an organisation, appended through the Python client")
    events = list(generate(tour.settings.seed, tour.settings.events))
    with Client(server.address, server.token("svc-gateway", "writer"), key=server.vkey) as client:
        began = time.perf_counter()
        stream = client.append_stream(events, timeout_s=60)
        recorded = sum(1 for _ in tour.narrator.progress("appending", stream, len(events)))
        seconds = time.perf_counter() - began
    rate = f"{recorded / seconds:,.0f} events/s"
    tour.narrator.say(
        f"{recorded:,} events in {seconds:.2f} s: [bold]{rate}[/bold], each on disk before acknowledged,\n"
        "the log's growth proven to the client with every batch."
    )
    tour.entries = recorded
    tour.measured.append(("append, one Python client", rate))


def _import_cloudtrail(tour: Tour, server: Server) -> None:
    tour.narrator.chapter("CloudTrail files, imported")
    environment = _access(server, "svc-import", "importer")
    began = time.perf_counter()
    printed = tour.auditlog("import", "cloudtrail", str(tour.settings.data), environment=environment)
    seconds = time.perf_counter() - began
    tour.narrator.output(printed)
    with Client(server.address, server.token("auditor", "auditor")) as client:
        tour.entries = client.checkpoint().tree_size
    rate = f"{tour.entries / seconds:,.0f} events/s"
    tour.narrator.say(
        f"{tour.entries:,} entries in {seconds:.2f} s, the command's start included: [bold]{rate}[/bold]."
    )
    tour.measured.append(("import, from files to disk", rate))


def _investigate(tour: Tour, server: Server) -> Finding:
    tour.narrator.chapter("Something happened. What?")
    with Client(server.address, server.token("auditor", "auditor"), key=server.vkey) as client:
        search = Search(client, tour.narrator)
        finding = find_refusals(search) if tour.settings.data else find_incident(search)
    slowest = max(search.seconds) * 1000
    tour.measured.append(("search, slowest of the queries above", f"{slowest:,.0f} ms over {tour.entries:,} entries"))
    return finding


def _prove(tour: Tour, server: Server, finding: Finding) -> None:
    index = finding.entry.index
    tour.narrator.chapter(f"Prove entry {index:,}, and verify it offline with the verifier key alone")
    tour.auditlog("prove", str(index), "-o", "entry.tlog-proof", environment=_access(server, "auditor", "auditor"))
    size = (tour.scratch / "entry.tlog-proof").stat().st_size
    tour.narrator.say(f"One text file of {size:,} bytes. From here on no server, no token, no trust:")
    tour.narrator.output(tour.auditlog("verify", "entry.tlog-proof", "--key", server.vkey))
    tour.measured.append(("proof, with the entry in it", f"{size:,} bytes, verified offline"))


def _tamper(tour: Tour, folder: Path, finding: Finding) -> None:
    index = finding.entry.index
    tour.narrator.chapter("The server is stopped. Can its operator change what is recorded?")
    began = time.perf_counter()
    tour.narrator.output(tour.auditlog("check", folder.name))
    seconds = time.perf_counter() - began
    copy = tour.scratch / "copy"
    shutil.copytree(folder, copy)
    evidence = copy / "logs" / "main" / "evidence.db"
    tour.narrator.command(f'sqlite3 copy/logs/main/evidence.db "UPDATE entries SET leaf = ... WHERE idx = {index}"')
    tour.narrator.output(try_update(evidence, index))
    change_entry(evidence, index, finding.entry.leaf.replace(finding.old, finding.new))
    tour.narrator.say(
        f"So, behind SQLite's back: triggers off, entry {index:,} rewritten, triggers on again.\n"
        f"In this copy {finding.motive}."
    )
    tour.narrator.output(tour.auditlog("check", copy.name, expect=1), style="red")
    tour.narrator.say("Exit status 1, and the entry is named.")
    tour.measured.append(("check, everything hashed again", f"{seconds:.1f} s for {tour.entries:,} entries"))
    database = folder / "logs" / "main" / "evidence.db"
    tour.measured.append(("evidence on disk", f"{database.stat().st_size / tour.entries:,.0f} bytes an entry"))


def _access(server: Server, subject: str, role: str) -> dict[str, str]:
    """Return the environment in which the command line reaches the server as that caller."""
    return {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": server.token(subject, role)}


def _sum_up(tour: Tour) -> None:
    tour.narrator.chapter("What you saw")
    tour.narrator.say(
        "Events recorded durably, searched, and one of them proven to someone who trusts nobody;\n"
        "and a change made behind SQLite's back, caught and located by the Merkle tree."
    )
    tour.narrator.table(("measured", ""), tour.measured)
