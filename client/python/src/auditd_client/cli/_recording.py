"""Recording many events: read ahead, sent in order, receipts as they come, errors at the line at fault."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from auditd_client import Client, Event, Receipt
from auditd_client.cli._ahead import read_ahead
from auditd_client.cli._errors import CommandError
from auditd_client.cli._explain import explain
from auditd_client.cli._output import JsonArray, note, time_text, write_csv_rows, write_json_lines, write_table
from auditd_client.errors import ClientError
from auditd_client.verify import VerificationError

RECEIPT_COLUMNS = ("index", "recorded_at", "leaf_hash", "duplicate", "tree_size")

_EVENT_PATH = re.compile(r"\bevents\[(\d+)\](\.)?", re.ASCII)


class Placed(Protocol):
    """An event, and where it was read from, as `file:line` or the like."""

    @property
    def event(self) -> Event:
        """The event."""

    @property
    def where(self) -> str:
        """Its place."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events that were read together; `is_last_for_now` says that the next may be long in coming."""

    events: Sequence[Placed]
    is_last_for_now: bool = False


def record(client: Client, chunks: Iterable[Chunk]) -> Iterator[Receipt]:
    """Append the events in order, one batch at a time, and yield their receipts as they come.

    One batch is under way at a time, so that the log has the order of the input, and nothing after a refused
    batch is recorded. Raises CommandError with the place of the event at fault.
    """
    pending: deque[Placed] = deque()
    acknowledged = 0

    def events() -> Iterator[Event | None]:
        for chunk in read_ahead(chunks):
            for placed in chunk.events:
                pending.append(placed)
                yield placed.event
            if chunk.is_last_for_now:
                yield None

    def locate(text: str) -> str:
        def place(match: re.Match[str]) -> str:
            position = int(match[1]) - acknowledged
            if not 0 <= position < len(pending):
                return match[0]
            return pending[position].where + (": event." if match[2] else "")

        return _EVENT_PATH.sub(place, text)

    try:
        for receipt in client.append_stream(events(), max_in_flight=1):
            pending.popleft()
            acknowledged += 1
            yield receipt
    except (ClientError, VerificationError) as error:
        failure = explain(error, locate)
    except CommandError as error:
        failure = error
    else:
        return
    raise CommandError(*failure.lines, _standing(acknowledged), status=failure.status) from None


def _standing(acknowledged: int) -> str:
    if acknowledged == 0:
        return "no event was acknowledged"
    return f"{acknowledged} events before are recorded; to go on, send the same input again with the same ids"


class ReceiptWriter:
    """Writes receipts in the format asked for; a table gives a summary at the end."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._array = JsonArray()
        self._count = 0
        self._duplicates = 0
        self._first: Receipt | None = None
        self._last: Receipt | None = None

    def write(self, receipt: Receipt) -> None:
        """Write a receipt at once, or count it for the summary."""
        self._count += 1
        self._duplicates += receipt.duplicate
        self._first = self._first or receipt
        self._last = receipt
        if self._output == "jsonl":
            write_json_lines((_receipt_json(receipt),))
        elif self._output == "json":
            self._array.write((_receipt_json(receipt),))
        elif self._output == "csv":
            header = [RECEIPT_COLUMNS] if self._count == 1 else []
            write_csv_rows([*header, _receipt_row(receipt)])

    def close(self) -> None:
        """Write what comes after the last receipt."""
        if self._output == "json":
            self._array.close()
        elif self._output == "table" and self._last is not None and self._first is not None:
            if self._count == 1:
                write_table(RECEIPT_COLUMNS, [_receipt_row(self._last)])
                return
            columns = ("events", "new", "duplicates", "first index", "last index", "tree size")
            row = (
                self._count, self._count - self._duplicates, self._duplicates,
                self._first.index, self._last.index, self._last.tree_size,
            )  # fmt: skip
            write_table(columns, [row])
        elif self._output == "table":
            note("no events")


def _receipt_row(receipt: Receipt) -> tuple[object, ...]:
    return (
        receipt.index, time_text(receipt.recorded_at), receipt.leaf_hash.hex(), receipt.duplicate, receipt.tree_size
    )  # fmt: skip


def _receipt_json(receipt: Receipt) -> str:
    """Return a receipt as one line of JSON; a hundred thousand a second pass here."""
    return (
        f'{{"index":{receipt.index},"recorded_at":"{time_text(receipt.recorded_at)}",'
        f'"leaf_hash":"{receipt.leaf_hash.hex()}","duplicate":{"true" if receipt.duplicate else "false"},'
        f'"tree_size":{receipt.tree_size}}}'
    )
