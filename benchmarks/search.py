"""`python -m benchmarks.search`: searches of one large log, each figure beside the limit it is held against."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._append import Subject, WrongCountError
from benchmarks._events import CLOUDTRAIL_FOLDER, cloudtrail_events, small_events
from benchmarks._footprint import index_lag, text_lag
from benchmarks._load import run_load
from benchmarks._reads import queries
from benchmarks._report import Figure, print_tables
from demo._server import running_server

_ORIGIN = "audit.example.com"
_APPEND_S = 5.0
_CALLERS = 8
_ASKED = 60
_SCAN = pb.QueryRequest(filter="NOT actor.id:*", no_index=True)


def main() -> None:
    """Build a log of `--entries`, search it, and print every figure beside its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=("small", "cloudtrail"), default="cloudtrail")
    parser.add_argument("--data", type=Path, default=CLOUDTRAIL_FOLDER, help="folder of CloudTrail files")
    parser.add_argument("--scratch", type=Path, help="where to put the server's folder")
    options = parser.parse_args()
    kind = small_events() if options.kind == "small" else cloudtrail_events(options.data)
    with TemporaryDirectory(prefix="auditlog-search-", dir=options.scratch) as scratch:
        folder = Path(scratch) / "server"
        with running_server(folder, _ORIGIN) as server:
            subject = Subject(server, kind)
            section = f"{kind.name}, {options.entries:,} entries"
            measured = _measure(subject, folder / "logs/main", options.entries)
            figures = [replace(figure, section=section) for figure in measured]
    print_tables(figures, {}, Console(width=None if sys.stdout.isatty() else 160))


def _measure(subject: Subject, folder: Path, entries: int) -> Iterator[Figure]:
    subject.append(1_000, 1, 1.0)
    while subject.size() < entries:
        subject.append(1_000, _CALLERS, _APPEND_S)
        index_lag(subject)
    size = subject.size()
    lag = text_lag(folder, size)
    # The thread rests while there are callers, and there are none now.
    yield _at_most(
        f"index of text and times, the last {lag.entries:,} entries",
        1e6 * lag.seconds / max(lag.entries, 1),
        "us an event",
        25,
    )
    for query in queries(subject):
        limit = 20.0 if query.name in {"one rare term", "two terms"} else 200.0
        yield _at_most(
            f"first page p99: {query.name}", _p99_ms(subject, pb.QueryRequest(filter=query.filter)), "ms", limit
        )
    yield _at_most("first page p99: nothing", _p99_ms(subject, pb.QueryRequest()), "ms", 20)
    rare = pb.QueryRequest(filter='"hippopotamus"')
    yield _at_most("a rare word, whole log, p99", _p99_ms(subject, rare, whole=True), "ms", 50)
    latest = pb.QueryRequest(order=pb.ORDER_LATEST_EVENT_FIRST)
    yield _at_most("first page p99: latest event first", _p99_ms(subject, latest), "ms", 20)
    yield replace(_at_most("scan of what nothing narrows", _scan_per_s(subject), "entries/s", 150_000), at_most=False)
    for name in ("index.db", "tiles.db"):
        used = sum(path.stat().st_size for path in folder.glob(f"{name}*"))
        yield _at_most(f"{name}, of the leaf's bytes", used / size / _leaf_bytes(subject), "", 0.35)


def _p99_ms(subject: Subject, request: pb.QueryRequest, *, whole: bool = False) -> float:
    load = run_load(subject.method("Query"), [request.SerializeToString()] * _ASKED, 1, 60.0)
    if whole and any(pb.QueryResponse.FromString(answer).next_page_token for answer in load.answers):
        raise WrongCountError("a page is not the last")
    return load.wait_ms(0.99)


def _scan_per_s(subject: Subject) -> float:
    request = pb.QueryRequest()
    request.CopyFrom(_SCAN)
    started = time.perf_counter()
    while True:
        load = run_load(subject.method("Query"), [request.SerializeToString()], 1, 60.0)
        page = pb.QueryResponse.FromString(load.answers[0])
        if not page.next_page_token:
            return page.tree_size / (time.perf_counter() - started)
        request.page_token = page.next_page_token


def _leaf_bytes(subject: Subject) -> float:
    request = pb.QueryRequest(page_size=1_000)
    load = run_load(subject.method("Query"), [request.SerializeToString()], 1, 60.0)
    entries = pb.QueryResponse.FromString(load.answers[0]).entries
    return sum(len(entry.leaf) for entry in entries) / len(entries)


def _at_most(name: str, value: float, unit: str, target: float) -> Figure:
    return Figure(section="", name=name, value=value, unit=unit, target=target, at_most=True)


if __name__ == "__main__":
    main()
