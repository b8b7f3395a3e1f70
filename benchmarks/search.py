"""`python -m benchmarks.search`: searches of one large log, each figure beside the limit it is held against."""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._append import Subject, WrongCountError
from benchmarks._events import CLOUDTRAIL_FOLDER, cloudtrail_events, small_events
from benchmarks._footprint import index_lag
from benchmarks._load import run_load
from benchmarks._reads import queries
from demo._server import running_server

_ORIGIN = "audit.example.com"
_APPEND_S = 5.0
_CALLERS = 8
_ASKED = 60
_CATCH_UP_S = 1_200.0
_SCAN = pb.QueryRequest(filter="NOT actor.id:*", no_index=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, with its limit: at most, or with `least` at least."""

    name: str
    value: float
    unit: str
    limit: float
    least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.least else self.value <= self.limit


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
            figures = list(_measure(subject, folder / "logs/main", options.entries))
    table = Table("figure", "measured", "limit", "", title=f"{kind.name}, {options.entries:,} entries")
    for figure in figures:
        bound = f"{'at least' if figure.least else 'at most'} {figure.limit:,g} {figure.unit}"
        table.add_row(figure.name, f"{figure.value:,.2f} {figure.unit}", bound, "" if figure.holds else "missed")
    Console().print(table)


def _measure(subject: Subject, folder: Path, entries: int) -> Iterator[Figure]:
    subject.append(1_000, 1, 1.0)
    while subject.size() < entries:
        subject.append(1_000, _CALLERS, _APPEND_S)
        index_lag(subject)
    size = subject.size()
    started, behind = time.perf_counter(), size - _text_covered(folder)
    while _text_covered(folder) < size // 4_096 * 4_096:
        if time.perf_counter() - started > _CATCH_UP_S:
            raise TimeoutError(f"text of {_text_covered(folder):,} of {size:,} entries")
        time.sleep(0.2)
    # The thread rests half the time while entries come, and never afterwards.
    yield Figure(
        f"index of text and times, the last {behind:,} entries",
        1e6 * (time.perf_counter() - started) / max(behind, 1),
        "us an event",
        25,
    )
    for query in queries(subject):
        limit = 20.0 if query.name in {"one rare term", "two terms"} else 200.0
        yield Figure(
            f"first page p99: {query.name}", _p99_ms(subject, pb.QueryRequest(filter=query.filter)), "ms", limit
        )
    yield Figure("first page p99: nothing", _p99_ms(subject, pb.QueryRequest()), "ms", 20)
    rare = pb.QueryRequest(filter='"hippopotamus"')
    yield Figure("a rare word, whole log, p99", _p99_ms(subject, rare, whole=True), "ms", 50)
    latest = pb.QueryRequest(order=pb.ORDER_LATEST_EVENT_FIRST)
    yield Figure("first page p99: latest event first", _p99_ms(subject, latest), "ms", 20)
    yield Figure("scan of what nothing narrows", _scan_per_s(subject), "entries/s", 150_000, least=True)
    for name in ("index.db", "tiles.db"):
        used = sum(path.stat().st_size for path in folder.glob(f"{name}*"))
        yield Figure(f"{name}, of the leaf's bytes", used / size / _leaf_bytes(subject), "", 0.35)


def _text_covered(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'tiles.db'}?mode=ro", uri=True, timeout=10)) as db:
        return 4_096 * int(db.execute("SELECT coalesce(max(block) + 1, 0) FROM texts").fetchone()[0])


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


if __name__ == "__main__":
    main()
