"""`auditlog monitor`: follow a log from elsewhere."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from auditd_client._monitor import Contradiction, Monitor, MonitorState
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._explain import explain
from auditd_client.cli._key import read_key
from auditd_client.cli._monitor_files import load_state, save_evidence, save_state, sole_use
from auditd_client.cli._other_log import other_log_advice
from auditd_client.cli._output import compact_json, output_option, time_text, write_line, write_text
from auditd_client.cli._settings import ConnectionSettings, connection_options
from auditd_client.errors import ClientError, PermissionDeniedError
from auditd_client.verify import VerificationError, WrongLogError, open_checkpoint

_MAX_NOTE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Report:
    """What one poll saw: `status` is started, extended, unchanged, closed, failed or contradiction."""

    status: str
    state: MonitorState | None = None
    new: int = 0
    entries: str = ""
    message: str = ""
    exit_status: ExitStatus = ExitStatus.YES


@dataclass(frozen=True, slots=True)
class _Watch:
    """One log that is followed, and where its state and evidence are kept."""

    settings: ConnectionSettings
    state_file: Path
    evidence: Path
    entries: str
    from_start: bool

    def poll(self) -> Report:
        """Ask once, verify, and keep what was verified; an answer that does not come is a report too.

        Raises Contradiction, CommandError if the state cannot be read or kept.
        """
        before = load_state(self.state_file, self.settings.key)
        try:
            settings = self.settings.refreshed()
        except CommandError as error:
            return Report("failed", before, message=str(error), exit_status=ExitStatus.UNREACHABLE)
        try:
            # Without the key: what does not verify shall be seen by the monitor, with all of its evidence.
            with connect(replace(settings, key=""), max_attempts=MAX_ATTEMPTS) as client:
                monitor = Monitor(client, settings.key)
                try:
                    state = self._newer(monitor, before)
                    closing = None
                except Contradiction:
                    # Also what a log looks like whose name has passed to its successor.
                    found = monitor.closed()
                    if found is None:
                        raise
                    monitor, closing = found
                    if before is not None:
                        monitor.require_nothing_lost(before, closing)
                    state = self._newer(monitor, before)
                    monitor.require_end(state, closing)
                save_state(self.state_file, state)
                state, entries = self._verified(monitor, state)
        except ClientError as error:
            failure = explain(error)
            return Report("failed", before, message="; ".join(failure.lines), exit_status=failure.status)
        new = state.checkpoint.size - before.checkpoint.size if before else 0
        if closing is not None:
            goes_on = f"closed; {closing.successor} goes on, monitor it with the key {closing.successor_key}"
            return Report("closed", state, new, entries, goes_on)
        if before is None:
            return Report("started", state, entries=entries)
        return Report("extended" if new else "unchanged", state, new, entries)

    def _newer(self, monitor: Monitor, before: MonitorState | None) -> MonitorState:
        return monitor.follow(before) if before else monitor.first(from_start=self.from_start)

    def _verified(self, monitor: Monitor, state: MonitorState) -> tuple[MonitorState, str]:
        if self.entries == "never":
            return state, "not asked for"
        try:
            for later in monitor.verify_entries(state):
                state = later
                save_state(self.state_file, state)
        except PermissionDeniedError:
            if self.entries == "always":
                raise
            return state, "not permitted"
        return state, "verified"


@click.command("monitor", short_help="Follow a log from elsewhere: every checkpoint must extend the last.")
@click.option(
    "--state",
    "state_file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the newest verified checkpoint is kept.",
)
@click.option(
    "--evidence", metavar="DIR", type=click.Path(path_type=Path), help="For evidence.  [default: FILE.evidence]"
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05, max=86_400 * 30),
    default=60.0,
    metavar="SECONDS",
    help="Pause between two polls.  [default: 60]",
)
@click.option("--once", is_flag=True, help="Poll once and end, such as for cron.")
@click.option(
    "--entries",
    type=click.Choice(("auto", "always", "never")),
    default="auto",
    help="Whether new entries are read and hashed: auto, if the token permits it.  [default: auto]",
)
@click.option("--from-start", is_flag=True, help="When beginning, verify all entries, not only those still to come.")
@click.option(
    "--known",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="When beginning, a signed checkpoint from elsewhere to begin with.",
)
@connection_options()
@output_option("table", "jsonl")
def command(
    state_file: Path,
    evidence: Path | None,
    interval: float,
    entries: str,
    known: Path | None,
    settings: ConnectionSettings,
    output: str,
    *,
    once: bool,
    from_start: bool,
) -> None:
    """Follow a log from elsewhere, and demand that it only ever grows.

    Each poll asks for the current checkpoint and the proof that it extends the one kept in the state file; new
    entries are read, hashed, and must give its root. On a contradiction the command writes both signed notes and
    the failed proof, and ends with status 1. A server that cannot be reached is asked again. Once the log is closed,
    which it must have signed itself, the command names the successor and its key, and ends with 0.

    With --once the status is 0 if the log extends what was known, 1 on a contradiction, 3 if nobody answers.

    \b
    auditlog monitor --state main.state --key "$KEY" --once
    auditlog monitor --state /var/lib/auditlog/main.state --interval 300 --output jsonl
    """  # noqa: D301 - click wants the character
    if not settings.key:
        raise CommandError("monitor: give --key: without the log's key nothing can be verified")
    read_key(settings.key)
    watch = _Watch(settings, state_file, evidence or Path(f"{state_file}.evidence"), entries, from_start)
    with sole_use(state_file):
        if known is not None:
            _begin_with(known, watch)
        _follow(watch, _write_json if output == "jsonl" else _write_words, None if once else interval)


def _begin_with(known: Path, watch: _Watch) -> None:
    """Put a checkpoint from elsewhere into a state that does not exist yet."""
    try:
        with known.open("rb") as file:
            checkpoint = open_checkpoint(file.read(_MAX_NOTE_BYTES), watch.settings.key)
    except OSError as error:
        raise CommandError(f"{known}: {error.strerror}") from error
    except VerificationError as error:
        advice = other_log_advice(error, asks_server=False) if isinstance(error, WrongLogError) else ""
        raise CommandError(f"{known}: {error}" + (f"; {advice}" if advice else "")) from error
    if load_state(watch.state_file, watch.settings.key) is None:
        begin = 0 if watch.from_start else checkpoint.size
        save_state(watch.state_file, MonitorState(checkpoint, begin, begin))


def _follow(watch: _Watch, show: Callable[[Report], None], interval_s: float | None) -> None:
    """Poll once, or for ever if there is an interval.

    Raises CommandError with status 1 on a contradiction, and where one poll was asked for with that of its failure.
    """
    waiting = threading.Event()
    while True:
        try:
            report = watch.poll()
        except Contradiction as found:
            folder = save_evidence(watch.evidence, found)
            show(Report("contradiction", message=f"{found}; evidence is in {folder}"))
            raise CommandError(str(found), f"keep the evidence in {folder}", status=ExitStatus.NO) from found
        show(report)
        if report.status == "closed":
            return
        if interval_s is None:
            if report.exit_status is not ExitStatus.YES:
                raise CommandError(report.message, status=report.exit_status)
            return
        waiting.wait(interval_s)


def _write_words(report: Report) -> None:
    words = [time_text(datetime.now(UTC).replace(microsecond=0)), report.status]
    if (state := report.state) is not None:
        words.append(f"size {state.checkpoint.size}" + (f" ({report.new} new)" if report.new else ""))
        if report.entries == "verified":
            words.append(f"entries {state.entries_from} up to {state.entries_to} verified")
        elif report.entries:
            words.append(f"entries: {report.entries}")
    write_line("  ".join([*words, report.message] if report.message else words))
    sys.stdout.flush()  # a service's journal shall show it now


def _write_json(report: Report) -> None:
    members: dict[str, object] = {"time": time_text(datetime.now(UTC)), "status": report.status}
    if (state := report.state) is not None:
        checkpoint = state.checkpoint
        root = base64.b64encode(checkpoint.root).decode()
        members |= {"origin": checkpoint.origin, "size": checkpoint.size, "root": root, "new": report.new}
        members |= {"entries_from": state.entries_from, "entries_to": state.entries_to}
    members |= {"entries": report.entries} if report.entries else {}
    members |= {"message": report.message} if report.message else {}
    write_text(compact_json(members) + "\n")
    sys.stdout.flush()
