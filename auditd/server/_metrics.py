"""The state of a server in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from auditd.measures import Distribution
from auditd.server._snapshot import LogStatus, MethodStatus, ServerStatus

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_Rows = Iterable[tuple[tuple[str, ...], float]]


def render(status: ServerStatus) -> bytes:
    """Return the metrics of a server, and those of its process."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Status(status))
    return generate_latest(registry)


class _Status(Collector):
    def __init__(self, status: ServerStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield from _of_server(status)
        yield from _of_logs(status.logs)
        yield from _of_methods(status.methods)


def _of_server(status: ServerStatus) -> Iterator[Metric]:
    yield _gauge("auditd_info", "Always 1.", ("origin", "version"), [((status.origin, status.version), 1)])
    yield _gauge("auditd_ready", "Whether /readyz answers 200.", (), [((), not status.problems)])
    yield _gauge("auditd_tails", "Tails that are open.", (), [((), status.tails)])
    yield _gauge("auditd_tasks", "Tasks of the event loop, the server's own among them.", (), [((), status.tasks)])
    yield _gauge("auditd_disk_free_bytes", "Free where the server folder is.", (), [((), status.disk_free_bytes)])
    yield _gauge("auditd_disk_size_bytes", "Size of that file system.", (), [((), status.disk_total_bytes)])
    yield _counter("auditd_damage_met", "Times that damaged evidence was met.", (), [((), status.damage_met)])
    places = [((name,), sum(one.log == name for one in status.damage)) for name in {one.log for one in status.damage}]
    yield _gauge("auditd_damaged_places", "Different places of a log found damaged.", ("log",), sorted(places))
    clock, check = status.clock, status.last_check
    if clock.synchronized is not None:
        said = [((), clock.synchronized)]
        yield _gauge("auditd_clock_synchronized", "Whether the kernel says that the clock is.", (), said)
    trusted = "Whether the server trusts its clock."
    yield _gauge("auditd_clock_trusted", trusted, (), [((), not clock.suspect)])
    stepped = "How far the clock went ahead of the time elapsed since the start."
    yield _gauge("auditd_clock_step_seconds", stepped, (), [((), clock.stepped_s)])
    if check is not None:
        ended = [((), check.ended_at)]
        yield _gauge("auditd_last_check_timestamp_seconds", "When `auditlog check` ended last.", (), ended)
        yield _gauge("auditd_last_check_sound", "Whether it found nothing wrong.", (), [((), check.sound)])
        yield _gauge("auditd_last_check_findings", "How much it found.", (), [((), check.findings)])


def _of_logs(logs: tuple[LogStatus, ...]) -> Iterator[Metric]:
    def gauge(name: str, about: str, rows: Iterable[float]) -> Metric:
        return _gauge(name, about, ("log",), [((log.name,), row) for log, row in zip(logs, rows, strict=True)])

    def counter(name: str, about: str, rows: Iterable[float]) -> Metric:
        return _counter(name, about, ("log",), [((log.name,), row) for log, row in zip(logs, rows, strict=True)])

    yield gauge("auditd_log_entries", "Entries in the log: the tree's size.", (log.size for log in logs))
    open_logs = [((log.name,), not log.problem) for log in logs if not log.successor]
    yield _gauge("auditd_log_writable", "Whether the log can record.", ("log",), open_logs)
    yield gauge("auditd_log_closed", "Whether a successor goes on for the log.", (bool(log.successor) for log in logs))
    yield gauge("auditd_queue_events", "Events that wait to be durable.", (log.waiting_events for log in logs))
    yield gauge("auditd_queue_bytes", "Their bytes.", (log.waiting_bytes for log in logs))
    yield counter("auditd_commits", "Commits.", (log.commits for log in logs))
    yield counter("auditd_commit_failures", "Commits that failed.", (log.failed_commits for log in logs))
    yield counter("auditd_read_failures", "Reads that the device refused.", (log.read_failures for log in logs))
    yield counter("auditd_entries_recorded", "Entries recorded since the start.", (log.entries for log in logs))
    yield counter("auditd_duplicates", "Events that were recorded already.", (log.duplicates for log in logs))
    kept = [((name, log.name), index) for log in logs for name, index in log.indexes.items() if index.state != "OFF"]
    lags = [(labels, index.lag) for labels, index in kept]
    yield _gauge("auditd_index_lag_entries", "Entries the index lacks yet.", ("index", "log"), lags)
    usable = [(labels, index.state != "UNUSABLE") for labels, index in kept]
    yield _gauge("auditd_index_usable", "Whether searches can use it.", ("index", "log"), usable)
    files = [((log.name, file), size) for log in logs for file, size in log.files.items()]
    yield _gauge("auditd_file_bytes", "Size of the files of a log.", ("log", "file"), files)
    stages = (((log.name, stage), times) for log in logs for stage, times in log.stages.items())
    about = "Recording by stage: `record` is queue and commit, the others are parts of a commit."
    yield _histogram("auditd_log_stage_seconds", about, ("log", "stage"), stages)


def _of_methods(methods: tuple[MethodStatus, ...]) -> Iterator[Metric]:
    ended = [((method.name, "OK"), method.answered) for method in methods]
    ended += [((method.name, "ABANDONED"), method.broken_off) for method in methods]
    refused: dict[tuple[str, str, str], int] = {}
    for method in methods:
        for (code, reason), count in method.refused.items():
            refused[method.name, code, reason] = count
    by_code: dict[tuple[str, str], int] = {}
    for (name, code, _), count in refused.items():
        by_code[name, code] = by_code.get((name, code), 0) + count
    about = "Calls that ended; ABANDONED where they ended without an answer."
    yield _counter("auditd_calls", about, ("method", "code"), [*ended, *by_code.items()])
    names = ("method", "code", "reason")
    yield _counter("auditd_refusals", "Calls answered with an error, by reason.", names, refused.items())
    under_way = [((method.name,), method.under_way) for method in methods]
    yield _gauge("auditd_calls_under_way", "Calls that have not ended.", ("method",), under_way)
    called = [method for method in methods if method.begun]
    stages = (((method.name, stage), times) for method in called for stage, times in method.stages.items())
    yield _histogram("auditd_call_stage_seconds", "Calls by stage.", ("method", "stage"), stages)


def _gauge(name: str, about: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for values, row in rows:
        family.add_metric(values, float(row))
    return family


def _counter(name: str, about: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, row in rows:
        family.add_metric(values, float(row))
    return family


def _histogram(
    name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Distribution]]
) -> Metric:
    family = HistogramMetricFamily(name, about, labels=labels)
    for values, times in rows:
        seen, buckets = 0, []
        for bound, count in zip((*times.bounds, float("inf")), times.counts, strict=True):
            seen += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(seen)))
        family.add_metric(values, buckets, times.total)
    return family
