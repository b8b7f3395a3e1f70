"""What is measured, in which order, and which figure is held against which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from auditd_client.exports import Form
from benchmarks import _limits as limits
from benchmarks import _reads as reads
from benchmarks import _tails as tails
from benchmarks import identity
from benchmarks._append import Appended, Subject
from benchmarks._checks import check_per_s
from benchmarks._exports import export_per_s, package_per_s
from benchmarks._footprint import Lag, footprint, index_lag, sample_leaves
from benchmarks._import_lines import DOOR_MAPPING, LINES, write_lines
from benchmarks._imports import copy_files, import_per_s
from benchmarks._leaves import Entries, make_entries
from benchmarks._load import Load, Method, run_load
from benchmarks._noop import PATH
from benchmarks._process import resident_mb
from benchmarks._report import Figure
from benchmarks._stages import stage_costs_us
from demo._server import running_server

BATCHES = (1, 10, 100, 1_000)
CALLERS = (1, 8, 64)
BATCH_CALLERS = 8
"""Callers of the batches that are held against SQLite: enough to keep the writer busy."""

_MOST_NOOPS_PER_S = 20_000
_TAILED_EVENTS = 500
_MOST_PACKED = 20_000
_MOST_ROWS = 50_000
_CHECKS_PER_S = 200_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How long to measure. `rounds` of each ratio are run and the best taken; `load_s` is one load's seconds."""

    rounds: int
    load_s: float
    raw_rows: int
    import_copies: int
    floor_leaves: int
    stage_batches: int


class Suite:
    """One run over two servers, one a kind of event, and the no-op server."""

    def __init__(
        self,
        small: Subject,
        cloudtrail: Subject,
        noop: str,
        scratch: Path,
        data: Path,
        settings: Settings,
        tell: Callable[[str], None],
    ) -> None:
        self._small = small
        self._cloudtrail = cloudtrail
        self._noop = noop
        self._scratch = scratch
        self._data = data
        self._settings = settings
        self._tell = tell
        self._figures: list[Figure] = []
        self._rates: defaultdict[str, list[float]] = defaultdict(list)
        self._cells: dict[tuple[str, int, int, bool], Appended] = {}
        self._lags: dict[str, Lag] = {}

    def run(self) -> list[Figure]:
        """Measure everything; return the figures in the order in which they are shown."""
        idle_mb = resident_mb(self._small.pid)
        self._warm_up()
        early = self._loaded_mb()
        small = make_entries(self._small.kind, self._settings.raw_rows)
        cloudtrail = make_entries(self._cloudtrail.kind, self._settings.raw_rows)
        for number in range(1, self._settings.rounds + 1):
            self._tell(f"round {number} of {self._settings.rounds}: limits, and what is held against them")
            self._round(small, cloudtrail)
        self._show_limits()
        self._show_ratios(small, cloudtrail)
        self._tell("append: every batch size by every number of callers")
        self._append_all()
        self._tell("reads")
        self._read()
        self._figures += identity.figures(self._scratch, self._settings.rounds, self._settings.load_s, self._tell)
        self._tell("tails")
        self._tails()
        self._tell("import")
        self._import()
        self._import_formats()
        self._tell("memory and disk")
        self._memory(idle_mb, early)
        self._disk()
        self._tell("stages")
        self._stages()
        return self._figures

    def _add(self, section: str, name: str, value: float | None, unit: str, **more: object) -> None:
        self._figures.append(Figure(section=section, name=name, value=value, unit=unit, **more))  # type: ignore[arg-type]

    def _best(self, name: str) -> float:
        return max(self._rates[name])

    # What is held against a limit is measured in turn with it, so that both meet the same machine.

    def _warm_up(self) -> None:
        """Bring both logs beyond the size at which they train their dictionaries, and wait for that."""
        for subject in (self._small, self._cloudtrail):
            subject.append(1_000, 1, 0.7)
            index_lag(subject)
            subject.append(1_000, 1, 0.3)

    def _round(self, small: Entries, cloudtrail: Entries) -> None:
        load_s, rates = self._settings.load_s, self._rates
        rates["sha256"].append(limits.sha256_mb_per_s())
        rates["cores"].append(limits.parallel_cores())
        for callers in (64, 1):
            rates[f"no-op, {callers}"].append(self._no_ops(callers).calls_per_s)
            self._append(self._small, 1, callers)
        rates["commit"].append(1 / limits.raw_commit_s(small, self._scratch))
        rates["prove"].append(reads.prove(self._small, load_s).calls_per_s)
        rates[f"raw {self._small.kind.name}"].append(limits.raw_inserts_per_s(small, self._scratch))
        self._append(self._small, 1_000, BATCH_CALLERS)
        self._catch_up(self._small)
        rates[f"raw {self._cloudtrail.kind.name}"].append(limits.raw_inserts_per_s(cloudtrail, self._scratch))
        self._append(self._cloudtrail, 1_000, BATCH_CALLERS)
        self._catch_up(self._cloudtrail)
        self._append(self._cloudtrail, 1_000, BATCH_CALLERS, proofs=True)
        index_lag(self._cloudtrail)

    def _catch_up(self, subject: Subject) -> None:
        """Wait for the index, so that the next measurement starts afresh, and keep the longest lag."""
        lag = index_lag(subject)
        self._lags[subject.kind.name] = max(lag, self._lags.get(subject.kind.name, lag), key=lambda one: one.seconds)

    def _no_ops(self, callers: int) -> Load:
        request = bytes(round(self._small.kind.event_bytes))
        requests = [request] * int(_MOST_NOOPS_PER_S * self._settings.load_s)
        return run_load(Method(self._noop, PATH, self._small.reader), requests, callers, self._settings.load_s)

    def _append(self, subject: Subject, batch: int, callers: int, *, proofs: bool = False) -> None:
        """Append, and keep the best measurement of its like."""
        cell = subject.append(batch, callers, self._settings.load_s, proofs=proofs)
        key = subject.kind.name, batch, callers, proofs
        known = self._cells.get(key)
        if known is None or cell.events_per_s > known.events_per_s:
            self._cells[key] = cell

    def _cell(self, subject: Subject, batch: int, callers: int, *, proofs: bool = False) -> Appended:
        return self._cells[subject.kind.name, batch, callers, proofs]

    def _show_limits(self) -> None:
        section = "Limits"
        self._add(section, "no-op calls, 64 callers", self._best("no-op, 64"), "calls/s")
        self._add(section, "no-op calls, one caller", self._best("no-op, 1"), "calls/s")
        self._add(section, "raw SQLite, commits of one row", self._best("commit"), "commits/s")
        for name in (self._small.kind.name, self._cloudtrail.kind.name):
            figure = f"raw SQLite, 1,000 uncompressed leaves a commit, {name}"
            self._add(section, figure, self._best(f"raw {name}"), "events/s")
        self._add(section, "SHA-256, one core", self._best("sha256"), "MB/s")
        note = "times the work of one busy process that two do at once"
        self._add(section, "processor, two processes", self._best("cores"), "cores", note=note)

    def _show_ratios(self, small: Entries, cloudtrail: Entries) -> None:
        section = "Against the limits"
        noop = self._best("no-op, 64")
        cell = self._cell(self._small, 1, 64)
        against = {"limit": noop, "limit_name": "no-op", "target": 0.5}
        self._add(
            section, "append of one event, 64 callers", cell.events_per_s, "events/s", **against, note=cell.note()
        )
        cell = self._cell(self._small, 1, 1)
        self._add(
            section,
            "append of one event, one caller",
            cell.events_per_s,
            "events/s",
            limit=1 / (1 / self._best("no-op, 1") + 1 / self._best("commit")),
            limit_name="no-op + commit",
            target=0.6,
            note=cell.note(),
        )
        for subject, entries, target in ((self._small, small, 0.7), (self._cloudtrail, cloudtrail, 0.5)):
            raw = f"raw {subject.kind.name}"
            for proofs in (False, True):
                if (subject.kind.name, 1_000, BATCH_CALLERS, proofs) in self._cells:
                    cell = self._cell(subject, 1_000, BATCH_CALLERS, proofs=proofs)
                    name = f"batches of 1,000, {subject.kind.name}{', with proofs' if proofs else ''}"
                    sizes = f"message {subject.kind.event_bytes:.0f}, leaf {entries.leaf_bytes:.0f} bytes; "
                    against = {"limit": self._best(raw), "limit_name": "raw SQLite", "target": target}
                    self._add(section, name, cell.events_per_s, "events/s", **against, note=sizes + cell.note())
        for name, lag in self._lags.items():
            note = f"it was {lag.entries:,} entries behind; the longest of all rounds"
            self._add(section, f"index caught up after batches of 1,000, {name}", lag.seconds, "s", note=note)
        against = {"limit": noop, "limit_name": "no-op", "target": 0.5}
        self._add(section, "inclusion proof, 64 callers", self._best("prove"), "calls/s", **against)

    def _append_all(self) -> None:
        for batch in BATCHES:
            for callers in CALLERS:
                key = self._small.kind.name, batch, callers, False
                if key not in self._cells:
                    self._append(self._small, batch, callers)
                cell = self._cells[key]
                name = f"batch {batch:,}, {callers} caller{'s' if callers > 1 else ''}"
                self._add("Append, 500-byte events", name, cell.events_per_s, "events/s", note=cell.note())

    def _read(self) -> None:
        section, load_s = f"Reads, of {self._small.size():,} entries", self._settings.load_s
        against = {"limit": self._best("no-op, 64"), "limit_name": "no-op"}
        for name, read in (("get", reads.get), ("inclusion proof", reads.prove)):
            load = read(self._small, load_s)
            note = f"wait p50 {load.wait_ms(0.5):.1f} p99 {load.wait_ms(0.99):.1f} ms"
            self._add(section, f"{name}, random entries, 64 callers", load.calls_per_s, "calls/s", **against, note=note)
        for wanted in reads.queries(self._small):
            load = reads.query(self._small, wanted, load_s)
            note = f"{wanted.filter}; p99 {load.wait_ms(0.99):.1f} ms"
            self._add(section, f"query, {wanted.name}: newest 100", 1_000 * median(load.waits_s), "ms", note=note)
        for name, text in reads.SCANS.items():
            rate = reads.scan_per_s(self._small, text)
            self._add(section, f"query, {name}: scan", rate, "entries/s", target=150_000)
        self._add(section, "aggregate by action, of all entries", reads.aggregate_per_s(self._small), "entries/s")
        self._export(section)

    def _export(self, section: str) -> None:
        for subject in (self._small, self._cloudtrail):
            rate = max(export_per_s(subject, "jsonl", self._scratch) for _ in range(self._settings.rounds))
            name = f"export into a folder, JSON Lines, {subject.kind.name}"
            self._add(section, name, rate, "entries/s", target=50_000)
        forms: tuple[tuple[Form, str], ...] = (("csv", "CSV"), ("parquet", "Parquet"))
        for form, name in forms:
            rate = export_per_s(self._small, form, self._scratch, _MOST_ROWS)
            self._add(section, f"export into a folder, {name}, 500-byte events", rate, "entries/s")
        written, verified = package_per_s(self._small, self._scratch, _MOST_PACKED)
        self._add(section, "evidence package, 500-byte events", written, "entries/s")
        self._add(section, "evidence package, verified", verified, "entries/s")

    def _tails(self) -> None:
        section = "Tails"
        self._delay("a receipt reaches a tail, at most (p99)")
        cost = tails.idle_cost(self._small, max(10.0, self._settings.load_s))
        name = f"{tails.TAILS:,} tails of a log in which nothing happens"
        self._add(section, f"{name}, processor", 100 * cost.processor_share, "% of a core", target=5, at_most=True)
        self._add(section, f"{name}, memory each", cost.kilobytes_each, "kB", target=50, at_most=True)
        alone = self._append_rate()
        with tails.idle_tails(self._small):
            self._delay(f"the same beside {tails.TAILS:,} tails whose filter selects nothing")
            beside = self._append_rate()
        name = f"batches of 1,000, {BATCH_CALLERS} callers, beside {tails.TAILS:,} tails whose filter selects nothing"
        self._add(section, name, beside, "events/s", limit=alone, limit_name="without tails", target=0.8)
        self._catch_up(self._small)

    def _delay(self, name: str) -> None:
        waits = tails.delays_s(self._small, _TAILED_EVENTS)
        note = f"p50 {1_000 * median(waits):.1f} ms, of {_TAILED_EVENTS:,} events one after the other"
        value = 1_000 * waits[int(0.99 * len(waits))]
        self._add("Tails", name, value, "ms", target=100, at_most=True, note=note)

    def _append_rate(self) -> float:
        self._catch_up(self._small)
        return max(
            self._small.append(1_000, BATCH_CALLERS, self._settings.load_s).events_per_s
            for _ in range(self._settings.rounds)
        )

    def _import(self) -> None:
        section, name, target = "Import", "auditlog import cloudtrail, end to end", 8_000
        if not self._data.is_dir():
            note = f"no CloudTrail files: {self._data} is no folder"
            self._add(section, name, None, "events/s", target=target, note=note)
            return
        rates = []
        with running_server(self._scratch / "import", "import.example.com") as server:
            for number in range(self._settings.rounds):
                folder = self._scratch / f"files-{number}"
                folder.mkdir()
                records = copy_files(self._data, folder, self._settings.import_copies)
                rates.append(import_per_s(server, folder, records))
        note = f"{records:,} events a time, start of the command included"
        self._add(section, name, max(rates), "events/s", target=target, note=note)

    def _import_formats(self) -> None:
        records = 2_000 * self._settings.import_copies
        mapping = self._scratch / "door.toml"
        mapping.write_text(DOOR_MAPPING, encoding="utf-8")
        with running_server(self._scratch / "formats", "import.example.com") as server:
            for name in LINES:
                file = self._scratch / f"lines.{name}"
                write_lines(name, file, records)
                options = ("--mapping", str(mapping)) if name == "csv" else ()
                rate = import_per_s(server, file, records, *options, name=name)
                self._add("Import", f"auditlog import {name}, end to end", rate, "events/s", note=f"{records:,} events")

    def _loaded_mb(self) -> tuple[int, float | None]:
        """Return the log's size and the server's memory after batches of 1,000."""
        self._small.append(1_000, BATCH_CALLERS, self._settings.load_s)
        index_lag(self._small)
        return self._small.size(), resident_mb(self._small.pid)

    def _memory(self, idle_mb: float | None, early: tuple[int, float | None]) -> None:
        section, untold = "Memory of the server", "" if idle_mb else "this system has no /proc"
        late = self._loaded_mb()
        self._add(section, "resident, idle", idle_mb, "MB", target=100, at_most=True, note=untold)
        for subject in (self._small, self._cloudtrail):
            name = f"resident at most, under load, {subject.kind.name}"
            peak_mb = resident_mb(subject.pid, "VmHWM")
            self._add(section, name, peak_mb, "MB", target=300, at_most=True, note=untold)
        for size, value in (early, late):
            self._add(section, f"resident, after a load, {size:,} entries", value, "MB", note=untold)

    def _disk(self) -> None:
        for subject, evidence_target, index_target in (
            (self._small, None, None),
            (self._cloudtrail, 0.3, 0.35),
        ):
            index_lag(subject)
            size = subject.size()
            leaves = sample_leaves(subject, min(size, self._settings.floor_leaves))
            subject.server.stop()
            self._check(subject, size, sum(map(len, leaves)) / len(leaves))
            found = footprint(subject, leaves, size)
            section = f"Bytes an entry, {subject.kind.name}, {size:,} entries"
            against = {"limit": found.leaf, "limit_name": "leaf", "at_most": True}
            self._add(section, "evidence", found.evidence, "bytes", **against, target=evidence_target)
            self._add(section, "index", found.index, "bytes", **against, target=index_target)
            floor = f"one zstd -19 stream of {len(leaves):,} leaves"
            self._add(section, "entropy floor", found.floor, "bytes", limit=found.leaf, limit_name="leaf", note=floor)
            note = "salts and identifiers alone"
            self._add(section, "random", found.random, "bytes", limit=found.leaf, limit_name="leaf", note=note)

    def _check(self, subject: Subject, size: int, leaf_bytes: float) -> None:
        """Check a folder whose server is stopped, beside what hashing its leaves alone would take."""
        section, hashes_per_s = "Check of a folder", self._best("sha256") * 1e6 / leaf_bytes
        for jobs, cores in ((1, 1.0), (2, self._best("cores"))):
            rate = max(check_per_s(subject.server.folder, size, jobs) for _ in range(self._settings.rounds))
            name = f"{subject.kind.name}, {size:,} entries, {jobs} process{'es' if jobs > 1 else ''}"
            against = {"limit": cores * hashes_per_s, "limit_name": "SHA-256"}
            self._add(section, name, rate, "leaves/s", **against, note=f"aim {_CHECKS_PER_S:,}/s with two")

    def _stages(self) -> None:
        for subject in (self._small, self._cloudtrail):
            costs = stage_costs_us(subject.kind, self._scratch, self._settings.stage_batches)
            for stage, cost_us in costs.items():
                unit = "us/commit" if stage.endswith("(a commit)") else "us/event"
                self._add(f"Stages, {subject.kind.name}, batches of 1,000", stage, cost_us, unit)
