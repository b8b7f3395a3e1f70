"""Leaves as rows of the command line's tables and CSV."""

from __future__ import annotations

import click

from auditd_client._rows import CSV_COLUMNS, TABLE_COLUMNS, members, row, unknown_column
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.verify import Leaf, VerificationError

__all__ = ["CSV_COLUMNS", "TABLE_COLUMNS", "members", "parse_columns", "read_leaf", "row"]


def parse_columns(text: str) -> tuple[str, ...]:
    """Return the column names of a list with commas.

    A name is a member of the entry or its event, such as `recorded_at` or `action`, or a path into one,
    such as `actor.id` or `attributes.amount`. Raises click.BadParameter for any other.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if problem := unknown_column(names):
        raise click.BadParameter(problem)
    if not names:
        raise click.BadParameter("no column named")
    return names


def read_leaf(leaf: bytes, index: int) -> Leaf:
    """Return the parsed leaf. Raises CommandError if it is none, or does not say that it is entry `index`."""
    try:
        parsed = Leaf.parse(leaf)
    except VerificationError as error:
        advice = "--output jsonl prints it as it is"
        raise CommandError(f"entry {index}: {error}; {advice}", status=ExitStatus.NO) from error
    if parsed.index != index:
        raise CommandError(f"entry {index}: its leaf says it is entry {parsed.index}", status=ExitStatus.NO)
    return parsed
