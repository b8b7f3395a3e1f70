"""`auditlog append`: events as JSON lines, or one from flags."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from auditd_client import Outcome, event_from_dict
from auditd_client.cli._connect import connect
from auditd_client.cli._errors import CommandError
from auditd_client.cli._event_lines import STDIN, read_events
from auditd_client.cli._output import output_option
from auditd_client.cli._progress import no_progress, progress
from auditd_client.cli._recording import Chunk, write_receipts
from auditd_client.cli._settings import ConnectionSettings, connection_options
from auditd_client.errors import InvalidRequestError
from auditd_client.importers import PlacedEvent

_MAX_TOKEN_BYTES = 64 * 1024
_OUTCOMES = tuple(name for name, number in Outcome.items() if number)

# Parameter, the member of the event that it sets, and what it means.
_TEXT_FLAGS = (
    ("id", "id", "Identifier, chosen once; a UUIDv7 by default."),
    ("time", "time", "When it happened, RFC 3339; now by default."),
    ("tenant", "tenant", "Customer or organisation concerned."),
    ("reason", "reason", "Why it ended so."),
    ("actor_id", "actor.id", "Who did it."),
    ("actor_type", "actor.type", "Kind of actor, such as `user`."),
    ("actor_name", "actor.name", "The actor's name as people read it."),
    ("session_id", "actor.session_id", "Session in which it was done."),
    ("auth_method", "actor.auth_method", "How the actor had signed in."),
    ("ip", "origin.ip", "Address it came from."),
    ("user_agent", "origin.user_agent", "Client software it came from."),
    ("request_id", "origin.request_id", "Identifier of the request."),
    ("attributes", "attributes_json", "Everything else: a JSON object, kept as written."),
)


def _event_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, _, meaning in reversed(_TEXT_FLAGS):
        metavar = "JSON" if name == "attributes" else "TEXT"
        function = click.option(f"--{name.replace('_', '-')}", metavar=metavar, help=meaning)(function)
    function = click.option("--role", "roles", multiple=True, help="A role the actor held; may be repeated.")(function)
    function = click.option(
        "--resource",
        "resources",
        multiple=True,
        metavar="TYPE:ID",
        help="What it was done to; may be repeated.",
    )(function)
    function = click.option(
        "--outcome",
        type=click.Choice(_OUTCOMES, case_sensitive=False),
        metavar="|".join(_OUTCOMES),
        help="How it ended.",
    )(function)
    function = click.option(
        "--actor-token-file",
        metavar="FILE",
        help="A file that holds the actor's own token, which then says who it is.",
    )(function)
    return click.option("--action", metavar="TEXT", help="What was done, such as `user.login`.")(function)


@click.command("append", short_help="Record events: JSON lines, or one event from flags.")
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@_event_flags
@connection_options(timeout_s=30)
@output_option("table", "json", "jsonl", "csv")
def command(files: Sequence[str], settings: ConnectionSettings, output: str, **flags: Any) -> None:  # noqa: ANN401 - of click
    """Record events: JSON lines from files or stdin (`-`), or one event from flags.

    An event as JSON has the names of a leaf's `event`, and `actor_token` for the actor's own token; the text of
    its attributes is kept as written.
    With `--output jsonl` every event is answered by a line
    {"index","recorded_at","leaf_hash","duplicate","tree_size"}, in the order of the input, as soon as it
    is durable.

    \b
    auditlog append --action user.login --outcome FAILURE --actor-id alice
    auditlog append --output jsonl events.jsonl > receipts.jsonl
    """  # noqa: D301 - click wants the character
    given = {name: value for name, value in flags.items() if value}
    if given and files:
        raise CommandError("append: give files, or flags of one event, not both")
    if given:
        with connect(settings) as client:
            write_receipts(client, [Chunk([_event_from_flags(given)])], output, no_progress)
        return
    names = files or _stdin_if_piped()
    with connect(settings) as client, progress("append", _total_bytes(names)) as advance:
        write_receipts(client, read_events(names, advance), output, advance)


def _stdin_if_piped() -> Sequence[str]:
    if sys.stdin.isatty():
        raise CommandError("append: give files, `-` for stdin, or flags of one event such as --action")
    return (STDIN,)


def _total_bytes(names: Sequence[str]) -> int | None:
    """Return the size of all files together, unless one is no regular file."""
    paths = [Path(name) for name in names]
    if all(path.is_file() for path in paths):
        return sum(path.stat().st_size for path in paths)
    return None


def _event_from_flags(flags: Mapping[str, Any]) -> PlacedEvent:
    if "action" not in flags:
        raise CommandError("append: --action is missing; an event needs one")
    members: dict[str, Any] = {"action": flags["action"], "resources": []}
    if "outcome" in flags:
        members["outcome"] = flags["outcome"]
    for name, path, _ in _TEXT_FLAGS:
        if name in flags:
            _put(members, path, flags[name])
    if "actor_token_file" in flags:
        members["actor_token"] = _read_token(Path(flags["actor_token_file"]))
    if "roles" in flags:
        _put(members, "actor.roles", list(flags["roles"]))
    for resource in flags.get("resources", ()):
        kind, colon, identifier = resource.partition(":")
        if not colon:
            raise CommandError(f"append: --resource {resource!r}: expected TYPE:ID")
        members["resources"].append({"type": kind, "id": identifier})
    try:
        return PlacedEvent("flags", event_from_dict(members))
    except InvalidRequestError as error:
        raise CommandError(*(f"flags: event.{v.field}: {v.description}" for v in error.violations)) from error


def _read_token(file: Path) -> str:
    """Return the token in a file; nothing of it is ever quoted."""
    try:
        return file.read_text("ascii")[:_MAX_TOKEN_BYTES].strip()
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise CommandError(f"{file}: no token: it is not ASCII") from None


def _put(members: dict[str, Any], path: str, value: object) -> None:
    part, dot, name = path.partition(".")
    if dot:
        members.setdefault(part, {})[name] = value
    else:
        members[path] = value
