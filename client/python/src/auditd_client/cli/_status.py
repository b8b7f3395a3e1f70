"""`auditlog status`: how a server is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from auditd_client import Durations, LogStatus, MethodStatus, ServerStatus
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._output import compact_json, output_option, time_text, write_json, write_line, write_table
from auditd_client.cli._settings import ConnectionSettings, connection_options

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_LOGS = (
    "log", "entries", "writable", "queue", "commits", "failed", "durable p50", "p99",
    "index", "lag", "text lag", "evidence",
)  # fmt: skip
_METHODS = ("method", "answered", "under way", "broken off", "refused", "p50", "p99")


@click.command("status", short_help="Show health, queues, latencies and refusals.")
@connection_options()
@output_option("table", "json")
def command(settings: ConnectionSettings, output: str) -> None:
    """Show how the server is: logs, calls, refusals, disk, clock, the last check, and damage that was met.

    Needs the role `admin`. Ends with 0 if the server is ready, 1 if not.
    """
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client:
        status = client.status()
    if output == "json":
        write_json(compact_json(_plain(asdict(status))))
    else:
        _show(status)
    if not status.ready:
        raise CommandError("the server is not ready", status=ExitStatus.NO)


def _show(status: ServerStatus) -> None:
    up = str(datetime.now(UTC).replace(microsecond=0) - status.started_at.replace(microsecond=0))
    write_line(f"{status.origin}: {'ready' if status.ready else 'NOT READY'}, auditd {status.version}, up {up}")
    for problem in status.problems:
        write_line(f"  {problem}")
    write_line("")
    write_table(_LOGS, map(_log_row, status.logs))
    called = [method for method in status.methods if method.answered or method.refused or method.under_way]
    if called:
        write_line("")
        write_table(_METHODS, map(_method_row, called))
    write_line("")
    for line in _facts(status):
        write_line(line)


def _log_row(log: LogStatus) -> tuple[object, ...]:
    evidence = sum(size for name, size in log.file_bytes.items() if name.startswith("evidence"))
    return (
        log.name,
        log.tree_size,
        "closed" if log.successor else "no" if log.problem else "yes",
        log.queued_events,
        log.commits,
        log.failed_commits,
        *_bounds(log.record),
        log.index.lower(),
        max(0, log.tree_size - log.index_covered),
        _text_index(log),
        _size(evidence),
    )


def _text_index(log: LogStatus) -> str:
    """Say how far the index of text is behind: not at all while it lacks fewer entries than it takes up at once."""
    if log.text_index == "BEHIND":
        return str(max(0, log.tree_size - log.text_index_covered))
    return "0" if log.text_index == "CURRENT" else log.text_index.lower()


def _method_row(method: MethodStatus) -> tuple[object, ...]:
    refused = ", ".join(f"{reason} {count}" for reason, count in method.refused.items())
    return (method.name, method.answered, method.under_way, method.broken_off, refused, *_bounds(method.work))


def _facts(status: ServerStatus) -> Iterable[str]:
    yield f"tails: {status.tails}"
    yield f"disk: {_size(status.disk_free_bytes)} free of {_size(status.disk_size_bytes)}"
    kernel = {True: "synchronized", False: "not synchronized, says the kernel", None: "unknown to the kernel"}
    trusted = "not trusted" if status.clock_suspect else "trusted"
    said = f"{kernel[status.clock_synchronized]}, stepped by {status.clock_stepped_s:+.3f} s since the start"
    yield f"clock: {trusted}, {said}"
    check = status.last_check
    if check is None:
        yield "last check: none is known"
    else:
        found = "sound" if check.sound else f"{check.findings} findings"
        yield f"last check: {time_text(check.ended_at)}, {found}, {check.entries} entries"
    yield f"damage met: {status.damage_met}"


def _bounds(times: Durations) -> tuple[str, str]:
    if not times.count:
        return "", ""
    return _bound(times.p50_s), _bound(times.p99_s)


def _bound(seconds: float | None) -> str:
    return "beyond" if seconds is None else f"<= {seconds * 1_000:g} ms"


def _size(count: float) -> str:
    unit = 0
    while count >= 1_024 and unit < len(_UNITS) - 1:
        count, unit = count / 1_024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


def _plain(value: Any) -> Any:  # noqa: ANN401 -- as JSON can
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
