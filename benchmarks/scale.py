"""`python -m benchmarks.scale`: what everything costs at ten thousand entries, and at ten million."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from rich.console import Console

from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._append import Subject, WrongCountError
from benchmarks._chart import Point, chart
from benchmarks._events import CLOUDTRAIL_FOLDER, Kind, cloudtrail_events, small_events
from benchmarks._footprint import entropy_floor, index_lag, sample_leaves, text_lag
from benchmarks._frames import SkewedMaker
from benchmarks._held import held_in_memory, read_through
from benchmarks._leaves import make_entries
from benchmarks._limits import raw_inserts_per_s
from benchmarks._load import Load, run_load
from benchmarks._process import resident_mb
from benchmarks._report import Figure, print_tables
from benchmarks._run import ORIGIN, RESULTS, about_this_machine, keep
from demo._server import auditlog, running_server

STAGES = (10_000, 100_000, 1_000_000, 10_000_000)
_BATCH = 1_000
_CALLERS = 8
_MOST_AT_ONCE = 400_000
_RAW_ROWS = 20_000
_ASKED = 100
_PAGE = 100
_MAX_WAIT_MS = 150
"""As clients ask: what takes longer gives a partial page, and a token to go on."""
_RARE_WORD_ENTRIES = 1_000_000
_SAMPLE = 2_000
_FLAT = 1.5
"""How much dearer a call may be in a log of the last stage than in one of the first."""


class Scale:
    """One log that grows from stage to stage; what is measured at each is kept in `figures`."""

    def __init__(self, subject: Subject, scratch: Path) -> None:
        self._subject = subject
        self._scratch = scratch
        self._log = subject.server.folder / "logs" / "main"
        self._raw = make_entries(subject.kind, _RAW_ROWS)
        self._size = 0
        self.figures: list[Figure] = []
        self.costs: dict[str, list[Point]] = {}
        """What a call takes, in milliseconds, by size."""

    def stage(self, size: int) -> None:
        """Grow the log to `size` entries and measure everything there."""
        self._subject = Subject(self._subject.server, self._subject.kind, self._subject.maker)  # with fresh tokens
        measured = [*self._grow(size), *self._calls(), *self._searches(), *self._stopped()]
        self.figures += [replace(figure, section=f"{size:,} entries") for figure in measured]

    def _grow(self, size: int) -> Iterator[Figure]:
        window = min(_MOST_AT_ONCE, (size - self._size) // 2 // _BATCH * _BATCH)
        while (missing := size - window - self._size) >= _BATCH:
            self._append(min(_MOST_AT_ONCE, missing))
        raw = max(raw_inserts_per_s(self._raw, self._scratch) for _ in range(2))
        index_lag(self._subject)
        rate = self._append(window)
        lag = index_lag(self._subject)
        against = {"limit": raw, "limit_name": "raw SQLite", "target": 0.7}
        yield _figure("sustained appends, batches of 1,000", rate, "events/s", **against, note=f"{window:,} events")
        yield _figure("index of fields caught up", lag.seconds, "s", target=2, at_most=True)
        yield _figure("index of text caught up", text_lag(self._log, self._size).seconds, "s")

    def _append(self, events: int) -> float:
        done = self._subject.append(_BATCH, _CALLERS, 600.0, most_events=events)
        self._size += done.events
        return done.events_per_s

    def _calls(self) -> Iterator[Figure]:
        one = self._subject.append(1, 1, 60.0, most_events=_ASKED)
        self._size += one.events
        yield self._cost("append of one event", one.load, "")
        evidence = self._log / "evidence.db"
        yield from self._reads("", f"; {held_in_memory(evidence):.0%} of the evidence in memory")
        read_through(evidence)
        yield from self._reads(", all in memory", f"; {held_in_memory(evidence):.0%} of the evidence in memory")

    def _reads(self, state: str, held: str) -> Iterator[Figure]:
        """Ask for entries and proofs; each kind of others, because what one has read is in memory for the next."""
        size = self._size
        for name, method, ask in (
            ("get", "Get", lambda index: pb.GetRequest(index=index)),
            ("inclusion proof", "Prove", lambda index: pb.ProveRequest(inclusion=pb.InclusionTarget(index=index))),
            (
                "consistency proof",
                "Prove",
                lambda old: pb.ProveRequest(consistency=pb.ConsistencyTarget(from_size=old, to_size=size)),
            ),
        ):
            requests = [ask(random.randrange(1, size)).SerializeToString() for _ in range(_ASKED)]
            yield self._cost(name + state, run_load(self._subject.method(method), requests, 1, 60.0), held)

    def _cost(self, name: str, load: Load, held: str) -> Figure:
        """Hold the middle one of several calls against the same call at the first stage."""
        median = load.wait_ms(0.5)
        points = self.costs.setdefault(name, [])
        points.append((self._size, median))
        note = f"p99 {load.wait_ms(0.99):.1f} ms, one caller{held}"
        if len(points) == 1:
            return _figure(f"{name}, p50", median, "ms", note=note)
        against = {"limit": points[0][1], "limit_name": "at first", "target": _FLAT, "at_most": True}
        return _figure(f"{name}, p50", median, "ms", **against, note=note)

    def _searches(self) -> Iterator[Figure]:
        event = orjson.loads(self._leaf(self._size // 3))["event"]
        later = orjson.loads(self._leaf(self._size // 3 + min(5_000, self._size // 10)))["event"]
        first, last = sorted((event["time"], later["time"]))  # callers' clocks are apart
        action, actor = f'action = "{event["action"]}"', f'actor.id = "{event["actor"]["id"]}"'
        for name, text, limit_ms in (
            ("common term", action, 200),
            ("rare term", f'id = "{event["id"]}"', 20),
            ("two terms", f"{action} AND {actor}", 200),
            ("prefix", f'id = "{event["id"][:8]}*"', 200),
            ("time range", f'time >= "{first}" AND time <= "{last}"', 200),
            ("free text", f'"{event["actor"]["id"]}"', 200),
            ("rare word", f'"{event["id"]}"', 50 if self._size <= _RARE_WORD_ENTRIES else 200),
        ):
            request = pb.QueryRequest(filter=text, page_size=_PAGE, max_wait_ms=_MAX_WAIT_MS).SerializeToString()
            load = run_load(self._subject.method("Query"), [request] * _ASKED, 1, 120.0)
            answer = pb.QueryResponse.FromString(load.answers[0])
            if not answer.entries and not answer.next_page_token:
                raise WrongCountError(f"{text}: nothing is found")
            self.costs.setdefault(f"query, {name}", []).append((self._size, load.wait_ms(0.5)))
            partial = "; a partial page" if len(answer.entries) < _PAGE and answer.next_page_token else ""
            note = f"p50 {load.wait_ms(0.5):.1f} ms; {text}{partial}"
            yield _figure(f"query, {name}, p99", load.wait_ms(0.99), "ms", target=limit_ms, at_most=True, note=note)

    def _leaf(self, index: int) -> bytes:
        request = pb.GetRequest(index=index).SerializeToString()
        return pb.GetResponse.FromString(
            run_load(self._subject.method("Get"), [request], 1, 10.0).answers[0]
        ).entry.leaf

    def _stopped(self) -> Iterator[Figure]:
        """Measure memory, stop the server, and measure what takes the folder alone; then start it again."""
        server, pid = self._subject.server, self._subject.pid
        leaves = sample_leaves(self._subject, _SAMPLE)
        most, now = resident_mb(pid, "VmHWM"), resident_mb(pid)
        yield _figure("memory at most", most, "MB", target=300, at_most=True)
        yield _figure("memory after all of this", now, "MB", target=300, at_most=True)
        server.stop()
        leaf = sum(map(len, leaves)) / len(leaves)
        floor = f"entropy floor {entropy_floor(leaves):.0f} bytes, one zstd stream of level 19"
        for name, names, target in (("evidence", ("evidence.db",), 0.5), ("index", ("index.db", "tiles.db"), 0.35)):
            used = sum((self._log / file).stat().st_size for file in names) / self._size
            against = {"limit": leaf, "limit_name": "leaf", "target": target, "at_most": True}
            yield _figure(f"{name}, bytes an entry", used, "bytes", **against, note=floor)
        started = time.perf_counter()
        auditlog("check", str(server.folder), "--output", "json")
        elapsed_s = time.perf_counter() - started
        note = f"{elapsed_s:.1f} s, start of the command included"
        yield _figure("check", self._size / elapsed_s, "leaves/s", target=200_000, note=note)
        yield _figure("start until it answers", server.start(), "s", target=2, at_most=True)
        yield _figure("memory, idle", resident_mb(self._subject.pid), "MB", target=100, at_most=True)


def mixed_events(folder: Path) -> Kind:
    """Return small events and CloudTrail's, in turn."""
    small, large = small_events().templates, cloudtrail_events(folder).templates
    return Kind("mixed", [template for pair in zip(small, large, strict=False) for template in pair])


def main() -> None:
    """Grow one log through the stages, print every figure, and keep them with pictures of cost against size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--most", type=int, default=STAGES[-1], help="the largest stage to go to; default %(default)s")
    parser.add_argument("--data", type=Path, default=CLOUDTRAIL_FOLDER, help="folder of CloudTrail files")
    parser.add_argument("--scratch", type=Path, help="where to put the server's folder: the disk to measure")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    about, started = about_this_machine(quick=False), time.perf_counter()
    kind = mixed_events(options.data)
    with TemporaryDirectory(prefix="auditlog-scale-", dir=options.scratch) as scratch:
        folder = Path(scratch) / "server"
        with running_server(folder, ORIGIN) as server:
            scale = Scale(Subject(server, kind, SkewedMaker(kind.templates, 64)), Path(scratch))
            for size in (size for size in STAGES if size <= options.most):
                console.print(f"{size:,} entries …", style="dim", highlight=False)
                shown = len(scale.figures)
                scale.stage(size)
                print_tables(scale.figures[shown:], {}, console)
    about["seconds"] = round(time.perf_counter() - started)
    keep("scale", scale.figures, about)
    picture = chart("What a call takes, against the size of the log", "milliseconds, median", scale.costs)
    (RESULTS / "scale.svg").write_text(picture, encoding="utf-8")


def _figure(name: str, value: float | None, unit: str, **more: Any) -> Figure:  # noqa: ANN401 - of a figure
    return Figure(section="", name=name, value=value, unit=unit, **more)


if __name__ == "__main__":
    main()
