"""Events as JSON lines, from files and stdin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from auditd_client import event_from_json
from auditd_client.cli._errors import CommandError
from auditd_client.cli._recording import Chunk
from auditd_client.errors import InvalidRequestError
from auditd_client.importers import PlacedEvent

STDIN = "-"
MAX_LINE_BYTES = 4 * 1024 * 1024
"""No request may be larger, so no event can be."""

_READ_BYTES = 1 << 20


def read_events(files: Sequence[str], advance: Callable[[int, int], None]) -> Iterator[Chunk]:
    """Yield the events of files of JSON lines in order, as soon as they can be read; `-` is stdin.

    Blank lines are skipped. `advance` is told of bytes read. Raises CommandError for what cannot be read,
    and for the first line that is no event.
    """
    for name in files:
        source = "stdin" if name == STDIN else name
        try:
            with _opened(name) as file:
                for numbered in _lines(file, source, advance):
                    events = [_event(source, number, line) for number, line in numbered]
                    yield Chunk(events, is_last_for_now=name == STDIN)
        except OSError as error:
            raise CommandError(f"{source}: {error.strerror}") from error


def _opened(name: str) -> AbstractContextManager[IO[bytes]]:
    if name != STDIN:
        return Path(name).open("rb", buffering=0)

    # Unbuffered: lines are wanted as they come, and a buffer's lock, held by a thread that waits for input,
    # would keep the interpreter from exiting.
    raw: IO[bytes] = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    return nullcontext(raw)


def _lines(file: IO[bytes], source: str, advance: Callable[[int, int], None]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the lines that each read completes, numbered from 1, without the blank ones."""
    number, rest = 0, b""
    while data := file.read(_READ_BYTES):
        advance(len(data), 0)
        *whole, rest = (rest + data).split(b"\n") if b"\n" in data else (rest + data,)
        if len(rest) > MAX_LINE_BYTES:
            raise CommandError(f"{source}:{number + len(whole) + 1}: longer than {MAX_LINE_BYTES} bytes")
        yield [(number + i, line) for i, line in enumerate(whole, 1) if line.strip()]
        number += len(whole)
    if rest.strip():
        yield [(number + 1, rest)]


def _event(source: str, number: int, line: bytes) -> PlacedEvent:
    try:
        return PlacedEvent(f"{source}:{number}", event_from_json(line))
    except InvalidRequestError as error:
        raise CommandError(
            *(
                f"{source}:{number}: {'' if violation.field == 'event' else 'event.'}"
                f"{violation.field}: {violation.description}"
                for violation in error.violations
            )
        ) from error
