"""Recording many events: read ahead, sent in order, receipts as they come, errors at the line at fault."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from auditd_client import Client, Event, Receipt
from auditd_client.cli._ahead import read_ahead
from auditd_client.cli._errors import CommandError
from auditd_client.cli._explain import explain
from auditd_client.cli._output import Writer, note, time_text, write_table
from auditd_client.errors import ClientError
from auditd_client.importers import PlacedEvent
from auditd_client.verify import VerificationError

RECEIPT_COLUMNS = ("index", "recorded_at", "leaf_hash", "duplicate", "tree_size")

_EVENT_PATH = re.compile(r"\bevents\[(\d+)\](\.)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events that were read together; `is_last_for_now` says that the next may be long in coming."""

    events: Sequence[PlacedEvent]
    is_last_for_now: bool = False


def record(client: Client, chunks: Iterable[Chunk]) -> Iterator[Receipt]:
    """Append the events in order, one batch at a time, and yield their receipts as they come.

    One batch is under way at a time, so that the log has the order of the input, and nothing after a refused
    batch is recorded. Raises CommandError with the place of the event at fault.
    """
    pending: deque[PlacedEvent] = deque()
    acknowledged = 0

    def events(ahead: Iterator[Chunk]) -> Iterator[Event | None]:
        for chunk in ahead:
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

        # In JSON, which the user wrote, the member has the name that it has in a leaf.
        return _EVENT_PATH.sub(place, text).replace(": event.attributes_json", ": event.attributes")

    try:
        with closing(read_ahead(chunks)) as ahead:
            for receipt in client.append_stream(events(ahead), max_in_flight=1):
                pending.popleft()
                acknowledged += 1
                yield receipt
    except (ClientError, VerificationError) as error:
        failure = explain(error, locate)
    except CommandError as error:
        failure = error
    else:
        return
    standing = [f"the {acknowledged} events before are recorded"] if acknowledged else []
    raise CommandError(*failure.lines, *standing, status=failure.status) from None


def write_receipts(client: Client, chunks: Iterable[Chunk], output: str, advance: Callable[[int, int], None]) -> None:
    """Record the events; write each receipt at once, or for a table a summary; `advance` is told of each."""
    if output == "table":
        _write_summary(record(client, chunks), advance)
        return
    with Writer(output, RECEIPT_COLUMNS, _receipt_row, _receipt_json) as writer:
        for receipt in record(client, chunks):
            writer.write((receipt,))
            advance(0, 1)


def _write_summary(receipts: Iterable[Receipt], advance: Callable[[int, int], None]) -> None:
    count = duplicates = 0
    first: Receipt | None = None
    for receipt in receipts:
        first = first or receipt
        count += 1
        duplicates += receipt.duplicate
        advance(0, 1)
    if first is None:
        note("no events")
    elif count == 1:
        write_table(RECEIPT_COLUMNS, [_receipt_row(first)])
    else:
        columns = ("events", "new", "duplicates", "first index", "last index", "tree size")
        summary = (count, count - duplicates, duplicates, first.index, receipt.index, receipt.tree_size)
        write_table(columns, [summary])


def _receipt_row(receipt: Receipt) -> tuple[object, ...]:
    recorded_at = time_text(receipt.recorded_at)
    return receipt.index, recorded_at, receipt.leaf_hash.hex(), receipt.duplicate, receipt.tree_size


def _receipt_json(receipt: Receipt) -> str:
    return (
        f'{{"index":{receipt.index},"recorded_at":"{time_text(receipt.recorded_at)}",'
        f'"leaf_hash":"{receipt.leaf_hash.hex()}","duplicate":{"true" if receipt.duplicate else "false"},'
        f'"tree_size":{receipt.tree_size}}}'
    )
