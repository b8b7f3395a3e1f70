"""`auditlog events`: what an authentication layer should record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import click

from auditd_client.cli._errors import CommandError
from auditd_client.cli._output import Writer, compact_json, output_option, write_json, write_line, write_table
from auditd_client.event_types import EVENT_TYPES, EventType

_COLUMNS = ("action", "summary", "required")


@click.command("events", short_help="List what an authentication layer should record.")
@click.argument("action", metavar="[ACTION]", required=False)
@click.option(
    "--example", "wants_example", is_flag=True, help="Print the example alone, as `auditlog append` takes it."
)
@output_option("table", "json", "jsonl", "csv")
def command(action: str | None, wants_example: bool, output: str) -> None:
    """List the types of events that an authentication layer should record, or describe the one of ACTION.

    Needs no server. The server takes any action: these are the names by which others will search.
    """
    if action is None:
        if wants_example:
            raise CommandError("--example: of which ACTION? `auditlog events` lists them")
        with Writer(output, _COLUMNS, _row, _json) as writer:
            writer.write(list(EVENT_TYPES.values()))
        return
    known = EVENT_TYPES.get(action)
    if known is None:
        raise CommandError(f"{action!r} is none of {', '.join(EVENT_TYPES)}")
    if wants_example:
        write_json(compact_json(known.example))
    elif output == "table":
        _describe(known)
    else:
        with Writer(output, _COLUMNS, _row, _json) as writer:
            writer.write([known])


def _describe(known: EventType) -> None:
    write_line(f"{known.action}: {known.summary}")
    for title, members in (("required", known.required), ("optional", known.optional)):
        write_line("")
        write_table((title, "says"), _members(members))
    write_line("")
    write_line("example:")
    write_json(compact_json(known.example))


def _members(members: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(path, says.replace("`", "")) for path, says in members.items()]


def _row(known: EventType) -> tuple[object, ...]:
    return known.action, known.summary, " ".join(known.required)


def _json(known: EventType) -> str:
    return compact_json(asdict(known))
