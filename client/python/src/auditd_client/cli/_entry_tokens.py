"""What verifying the tokens of entries again gave, as commands print it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from auditd_client import Entry
from auditd_client.cli._output import compact_json

TOKEN_COLUMNS = ("caller_token", "actor_token")
_F = TypeVar("_F", bound=Callable[..., object])

verify_tokens_option: Callable[[_F], _F] = click.option(
    "--verify-tokens",
    is_flag=True,
    help="Verify the tokens behind each entry again; JSON then has the leaf in an object with what came of it.",
)


def token_values(entry: Entry) -> list[object]:
    """Return the values of `TOKEN_COLUMNS`."""
    return [entry.caller_token, entry.actor_token]


def with_tokens(entry: Entry) -> bytes:
    """Return one line of JSON: the verdicts there are, and the leaf verbatim."""
    verdicts = {name: verdict for name, verdict in zip(TOKEN_COLUMNS, token_values(entry), strict=True) if verdict}
    head = compact_json(verdicts)[:-1]
    return f'{head}{"," if verdicts else ""}"leaf":'.encode() + entry.leaf + b"}"


def is_invalid(entry: Entry) -> bool:
    """Tell whether a token of the entry does not verify."""
    return "INVALID" in token_values(entry)
