"""Recording many events: read ahead, sent in order, receipts as they come, errors at the line at fault."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from auditd_client import Client, Event, Receipt
from auditd_client.cli._ahead import read_ahead
from auditd_client.cli._errors import CommandError
from auditd_client.cli._explain import explain
from auditd_client.cli._output import Writer, note, time_text, write_table
from auditd_client.errors import ClientError, RequestError
from auditd_client.importers import BadLine, Imported, PlacedEvent
from auditd_client.verify import VerificationError

RECEIPT_COLUMNS = ("index", "recorded_at", "leaf_hash", "duplicate", "tree_size")

_EVENT_PATH = re.compile(r"\bevents\[(\d+)\](\.)?", re.ASCII)


Skip: TypeAlias = Callable[[BadLine], None]
"""Told of what is left out; without one, the first of these ends the command."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was read together; `is_last_for_now` says that the next may be long in coming."""

    events: Sequence[Imported]
    is_last_for_now: bool = False


def record(client: Client, chunks: Iterable[Chunk], skip: Skip | None = None) -> Iterator[Receipt]:
    """Append the events in order, one batch at a time, and yield their receipts as they come.

    One batch is under way at a time, so that the log has the order of the input, and nothing after a refused
    batch is recorded. Raises CommandError with the place of the event or line at fault; what stands before a bad
    line is recorded first. With `skip` bad lines and refused events are left out instead, and it is told of each.
    """
    with closing(read_ahead(chunks)) as ahead:
        yield from _Recording(client, ahead, skip).receipts()


class _Recording:
    """One import or append: what was read, and how much of it is acknowledged."""

    def __init__(self, client: Client, chunks: Iterator[Chunk], skip: Skip | None) -> None:
        self._client = client
        self._skip = skip
        self._fresh = self._read(chunks)
        # Read, and not yet acknowledged; the first is the event numbered `_started` of the stream under way.
        self._pending: deque[PlacedEvent] = deque()
        self._started = 0
        self._acknowledged = 0

    def receipts(self) -> Iterator[Receipt]:
        """Yield all receipts; after a refusal that may be skipped, a new stream goes on with the rest."""
        while True:
            self._started = self._acknowledged
            try:
                for receipt in self._client.append_stream(self._events(), max_in_flight=1):
                    self._pending.popleft()
                    self._acknowledged += 1
                    yield receipt
            except RequestError as error:
                if self._skip is None or not self._skip_refused(error, self._skip):
                    raise self._failure(explain(error, self._locate)) from None
            except (ClientError, VerificationError) as error:
                raise self._failure(explain(error, self._locate)) from None
            except CommandError as error:
                raise self._failure(error) from None
            else:
                return

    def _read(self, chunks: Iterator[Chunk]) -> Iterator[PlacedEvent | None]:
        """Yield the events, and None where what is gathered shall be sent."""
        try:
            for chunk in chunks:
                for one in chunk.events:
                    if isinstance(one, PlacedEvent):
                        yield one
                    elif self._skip is None:
                        raise CommandError(f"{one.where}: {one.reason}")
                    else:
                        self._skip(one)
                if chunk.is_last_for_now:
                    yield None
        except CommandError:
            yield None
            raise

    def _events(self) -> Iterator[Event | None]:
        for placed in tuple(self._pending):
            yield placed.event
        for fresh in self._fresh:
            if fresh is None:
                yield None
            else:
                self._pending.append(fresh)
                yield fresh.event

    def _position(self, match: re.Match[str]) -> int | None:
        position = int(match[1]) - (self._acknowledged - self._started)
        return position if 0 <= position < len(self._pending) else None

    def _locate(self, text: str) -> str:
        def place(match: re.Match[str]) -> str:
            position = self._position(match)
            if position is None:
                return match[0]
            return self._pending[position].where + (": event." if match[2] else "")

        return _as_written(_EVENT_PATH.sub(place, text))

    def _skip_refused(self, error: RequestError, skip: Skip) -> bool:
        """Leave out the events that an error names, and say whether there are any."""
        refused: dict[int, list[str]] = {}
        named = [(violation.field, violation.description) for violation in error.violations]
        for field, description in named or [(error.message, "")]:
            match = _EVENT_PATH.search(field)
            if match is not None and (position := self._position(match)) is not None:
                path = _as_written(_EVENT_PATH.sub(lambda found: "event" + (found[2] or ""), field))
                refused.setdefault(position, []).append(f"{path}: {description}" if description else path)
        kept = [placed for position, placed in enumerate(self._pending) if position not in refused]
        for position, reasons in sorted(refused.items()):
            placed = self._pending[position]
            skip(BadLine(placed.where, "; ".join(reasons) + (f" ({error.reason})" if error.reason else ""), placed.raw))
        self._pending = deque(kept)
        return bool(refused)

    def _failure(self, error: CommandError) -> CommandError:
        count = self._acknowledged
        before = "the event before is" if count == 1 else f"the {count} events before are"
        standing = [f"{before} recorded"] if count else []
        return CommandError(*error.lines, *standing, status=error.status)


def _as_written(text: str) -> str:
    """In JSON, which the user wrote, the member has the name that it has in a leaf."""
    return text.replace("event.attributes_json", "event.attributes")


def write_receipts(
    client: Client,
    chunks: Iterable[Chunk],
    output: str,
    advance: Callable[[int, int], None],
    skip: Skip | None = None,
) -> None:
    """Record the events; write each receipt at once, or for a table a summary; `advance` is told of each."""
    if output == "table":
        _write_summary(record(client, chunks, skip), advance)
        return
    with Writer(output, RECEIPT_COLUMNS, _receipt_row, _receipt_json) as writer:
        for receipt in record(client, chunks, skip):
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
