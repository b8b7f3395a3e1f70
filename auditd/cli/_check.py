"""`auditlog check`: re-verify a server folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from auditd.cli._errors import folder_errors, unfinished
from auditd_client.cli import Bars, CommandError, ExitStatus, shown

if TYPE_CHECKING:
    from auditd.log.check import LogReport
    from auditd.server import FolderReport


AGAINST = click.option(
    "--against",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A checkpoint or bundle that someone else has kept; may be given several times.",
)
KEYS = click.option(
    "--key",
    "vkeys",
    multiple=True,
    metavar="VKEY",
    help="Verifier key of a log, instead of the one at hand.",
)
OUTPUT = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the answer.",
)


@click.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@AGAINST
@KEYS
@click.option(
    "--keep-outcome",
    is_flag=True,
    help="Leave the outcome in DIR/last-check.json, for metrics and status.",
)
@click.option(
    "--indexes",
    is_flag=True,
    help="Compare index.db and tiles.db with the evidence as well: a false one hides entries from searches.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes that share a large log; as many as there are processors, unless told.",
)
@OUTPUT
def check(
    folder: Path,
    against: tuple[Path, ...],
    vkeys: tuple[str, ...],
    keep_outcome: bool,
    indexes: bool,
    jobs: int | None,
    output: str,
) -> None:
    """Re-hash and verify all evidence in the server folder DIR.

    Works beside a running server or a stopped one, and never changes a byte of evidence. Says where the evidence is
    damaged, and what could not be excluded without what others hold. Ends with 0 if it is sound, 1 if not, 2 if the
    disk refuses to give all of it and nothing wrong was found in the rest.
    """
    from auditd.server import (
        LastCheck,
        check_folder,
        check_indexes,
        covered_sizes,
        keep_last_check,
        load_config,
        logs_there,
    )

    with folder_errors():
        config = load_config(folder)
        notes = {str(path): note_of(path) for path in against}
        with Bars() as bars:
            sizes = {name: covered_sizes(config, name) for name in logs_there(config.folder)[0]} if indexes else {}
            jobs = jobs or len(os.sched_getaffinity(0))
            report = check_folder(config, vkeys, notes, bars.update, sizes, jobs)
            if indexes:
                check_indexes(config, report, bars.update)
            else:
                report.not_excluded.append("a false index.db or tiles.db, which hides entries from searches: --indexes")
    if output == "json":
        click.echo(json.dumps(report_as_json(report), indent=2))
    else:
        print_report(report)
    try:
        if keep_outcome and (report.is_damaged or report.is_sound):
            findings = len(report.findings) + sum(log.finding_count for log in report.logs)
            entries = sum(log.entries for log in report.logs)
            with folder_errors():
                keep_last_check(folder, LastCheck(time.time(), report.is_sound, findings, entries))
    finally:
        # What was found matters more than whether it could be kept.
        require_sound(report, "the evidence is damaged")


def note_of(path: Path) -> str:
    """Return the signed note of a checkpoint file, or of a bundle."""
    from auditd.errors import InvalidRequestError
    from auditd_client.verify import Bundle, VerificationError

    try:
        text = path.read_text(encoding="utf-8")
        return Bundle.parse(text).checkpoint_note if text.startswith("c2sp.org/tlog-proof") else text
    except OSError as error:
        raise InvalidRequestError("BAD_CHECKPOINT", f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, VerificationError) as error:
        raise InvalidRequestError("BAD_CHECKPOINT", f"{path}: {error}") from error


def require_sound(report: FolderReport, damaged: str) -> None:
    """End the command unless all was read and nothing was found."""
    if report.is_damaged:
        raise CommandError(damaged, *report.unread, status=ExitStatus.NO)
    if report.unread:
        raise unfinished(*report.unread)


def print_report(report: FolderReport) -> None:
    """Print a table of the logs, what was found, and what could not be excluded."""
    console = Console(highlight=False)
    table = Table("log", "entries", "checkpoints", "credentials", "outcome", box=None, pad_edge=False)
    for log in report.logs:
        table.add_row(log.name, f"{log.entries:,}", f"{log.checkpoints:,}", f"{log.credentials:,}", _outcome(log))
    if report.logs:
        console.print(table)
    for name, finding in _findings(report):
        click.echo(shown(f"{name}{finding.where}: {finding.what} [{finding.kind}]"))
    if report.not_excluded:
        click.echo("Not excluded:")
        for line in report.not_excluded:
            click.echo(shown(f"  {line}"))


def _outcome(log: LogReport) -> str:
    if log.finding_count:
        return "1 finding" if log.finding_count == 1 else f"{log.finding_count:,} findings"
    return "not read to its end" if log.unread else "sound"


def _findings(report: FolderReport) -> list[tuple[str, Any]]:
    of_logs = [(f"{log.name}: ", finding) for log in report.logs for finding in log.findings]
    return of_logs + [("", finding) for finding in report.findings]


def report_as_json(report: FolderReport) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "sound": report.is_sound,
        "logs": [
            {
                "name": log.name,
                "origin": log.origin,
                "entries": log.entries,
                "checkpoints": log.checkpoints,
                "credentials": log.credentials,
                "tokens": dict(log.verdicts),
                "findings": log.finding_count,
            }
            for log in report.logs
        ],
        "findings": [
            {
                "log": name.removesuffix(": "),
                "kind": finding.kind,
                "where": finding.where,
                "what": finding.what,
            }
            for name, finding in _findings(report)
        ],
        "not_excluded": report.not_excluded,
        "unread": report.unread,
    }
