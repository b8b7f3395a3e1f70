"""`auditlog stats`: counts of what a filter selects."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from auditd_client import By, Counts
from auditd_client.cli._chart import bars, cross_table, value_text
from auditd_client.cli._connect import MAX_ATTEMPTS, connect
from auditd_client.cli._output import Writer, compact_json, note, output_option, write_json, write_line, write_table
from auditd_client.cli._progress import progress
from auditd_client.cli._settings import ConnectionSettings, connection_options

_WIDTH = re.compile(r"([1-9][0-9]{0,8})([smhdw])", re.ASCII)
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_ALL_GROUPS = 10_000


@dataclass(frozen=True, slots=True)
class _Dimensions:
    """What is counted by: fields, and the width of a bucket in seconds where the first one is a time."""

    names: tuple[str, ...]
    width_s: int

    def by(self) -> list[By]:
        """Return them as the client takes them."""
        first: By = (self.names[0], self.width_s) if self.width_s else self.names[0]
        return [first, *self.names[1:]]


def _width(_context: click.Context, _option: click.Parameter, value: str | None) -> int:
    if value is None:
        return 0
    match = _WIDTH.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no width such as 30s, 5m, 1h, 1d or 1w")
    return int(match[1]) * _UNITS_S[match[2]]


@click.command("stats", short_help="Count entries: by fields, over time.")
@click.argument("filter_text", default="", metavar="[FILTER]")
@click.option("--by", "fields", multiple=True, metavar="FIELD", help="Count by this field; twice for a cross table.")
@click.option("--over", "width_s", callback=_width, metavar="WIDTH", help="Count over time, by 30s, 5m, 1h, 1d, 1w.")
@click.option(
    "--time",
    "time_field",
    type=click.Choice(("time", "recorded_at")),
    default="time",
    show_default=True,
    help="Which time: the event's own, or when it was recorded.",
)
@click.option(
    "--top",
    type=click.IntRange(0, _ALL_GROUPS),
    default=10,
    show_default=True,
    metavar="N",
    help="Most groups to show, the largest; 0 for all. Buckets of time are always all shown.",
)
@click.option(
    "--max-time",
    "max_time_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop counting after that, and say how far it came.",
)
@click.option("--no-index", is_flag=True, help="Read the evidence itself, past the index; slow.")
@connection_options()
@output_option("table", "json", "csv")
def command(
    filter_text: str,
    fields: Sequence[str],
    width_s: int,
    time_field: str,
    top: int,
    max_time_s: float | None,
    no_index: bool,
    settings: ConnectionSettings,
    output: str,
) -> None:
    """Count the entries that FILTER selects, by action unless told otherwise; without it all.

    \b
    auditlog stats 'outcome = DENIED' --by actor.id
    auditlog stats --over 1h
    auditlog stats --by actor.id --by outcome --output csv
    """  # noqa: D301 - click wants the character
    names = ((time_field,) if width_s else ()) + (tuple(fields) or (() if width_s else ("action",)))
    if len(names) > 2:
        raise click.UsageError("at most two of --by and --over")
    dimensions = _Dimensions(names, width_s)
    # A table of pairs needs them all for its sums, and a row of time knows no largest.
    most = _ALL_GROUPS if width_s or not top or (len(names) == 2 and output == "table") else top
    ends_at = time.monotonic() + max_time_s if max_time_s else None
    with connect(settings, max_attempts=MAX_ATTEMPTS) as client, progress("stats", unit="entries") as advance:
        timeout_s = min(settings.timeout_s, max_time_s or settings.timeout_s)
        counts, counted = None, 0
        for counts in client.aggregate_steps(
            filter_text, dimensions.by(), max_groups=most, no_index=no_index, timeout_s=timeout_s
        ):
            advance(0, counts.next_index - counted)
            counted = counts.next_index
            if ends_at is not None and time.monotonic() >= ends_at:
                break
    if counts is not None:
        _show(counts, dimensions, top or _ALL_GROUPS, output)


def _show(counts: Counts, dimensions: _Dimensions, top: int, output: str) -> None:
    if output == "json":
        write_json(_json(counts, dimensions))
    elif output == "csv":
        with Writer(output, (*dimensions.names, "count"), lambda row: row, str) as writer:
            writer.write([(*map(value_text, group.values), group.count) for group in counts.groups])
        for line in _cautions(counts, counts.unlisted_count):
            note(line)
    else:
        _show_table(counts, dimensions, top)


def _show_table(counts: Counts, dimensions: _Dimensions, top: int) -> None:
    unlisted = counts.unlisted_count
    if len(dimensions.names) == 2:
        header, rows, unlisted = cross_table(counts, _ALL_GROUPS if dimensions.width_s else top)
        write_table((" \\ ".join(dimensions.names), *header), rows)
    else:
        write_table((dimensions.names[0], "count", "share", ""), bars(counts, dimensions.width_s))
    entries = "entry" if counts.count == 1 else "entries"
    write_line(f"{counts.count:,} {entries} of {counts.next_index:,}")
    for line in _cautions(counts, unlisted):
        write_line(line)


def _cautions(counts: Counts, unlisted: int) -> list[str]:
    """Return what must be said lest the counts be taken for more than they are."""
    said = []
    if unlisted:
        said.append(f"{unlisted:,} more in groups that are not shown")
    if not counts.is_exact:
        said.append(f"approximate: too many groups to keep; each count may be too low by up to {counts.max_error:,}")
    if not counts.is_complete:
        said.append(f"partial: the time was up after {counts.next_index:,} of {counts.tree_size:,} entries")
    return said


def _json(counts: Counts, dimensions: _Dimensions) -> str:
    return compact_json(
        {
            "by": list(dimensions.names),
            "bucket_s": dimensions.width_s or None,
            "count": counts.count,
            "groups": [{"values": list(group.values), "count": group.count} for group in counts.groups],
            "unlisted_count": counts.unlisted_count,
            "unlisted_max": counts.unlisted_max,
            "exact": counts.is_exact,
            "max_error": counts.max_error,
            "complete": counts.is_complete,
            "next_index": counts.next_index,
            "tree_size": counts.tree_size,
            "examined": counts.examined,
        }
    )
