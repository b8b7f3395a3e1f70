"""The option that has the tokens of entries verified again, and entries as they are printed with it and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from auditd_client import Entry
from auditd_client._entry_tokens import TOKEN_COLUMNS, token_values, with_tokens
from auditd_client.cli._entry_rows import read_leaf, row
from auditd_client.cli._output import Writer

_F = TypeVar("_F", bound=Callable[..., object])

verify_tokens_option: Callable[[_F], _F] = click.option(
    "--verify-tokens",
    is_flag=True,
    help="Verify the tokens behind each entry again; JSON then has the leaf in an object with what came of it.",
)


def entry_writer(output: str, columns: Sequence[str], *, verify_tokens: bool) -> Writer[Entry]:
    """Return what writes entries: chosen columns, or leaves verbatim; with `verify_tokens` the verdicts beside them."""
    if not verify_tokens:
        return Writer(output, columns, lambda entry: row(read_leaf(entry.leaf, entry.index), columns), _leaf)
    return Writer(
        output,
        (*columns, *TOKEN_COLUMNS),
        lambda entry: row(read_leaf(entry.leaf, entry.index), columns) + token_values(entry),
        with_tokens,
    )


def _leaf(entry: Entry) -> bytes:
    return entry.leaf
