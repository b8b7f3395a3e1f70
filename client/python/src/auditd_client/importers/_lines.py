"""Lines of bounded length, with their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditd_client.importers._records import MAX_RECORD_BYTES, BadRecord

_UTF_8_MARK = b"\xef\xbb\xbf"
_KEPT_OF_LONG_BYTES = 1 << 12


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text with its number, counted from 1; `raw` are its bytes without the line's end."""

    number: int
    raw: bytes
    text: str


def lines(pieces: Iterable[bytes], *, blank: bool = False) -> Iterator[list[Line | BadRecord]]:
    """Yield the lines that each piece completes, without the blank ones unless these are asked for.

    A line longer than MAX_RECORD_BYTES, or that is no UTF-8, is a BadRecord.
    """
    number, rest, skipping = 0, b"", False
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n") if rest else piece.split(b"\n")
        found: list[Line | BadRecord] = []
        for raw in whole:
            number += 1
            if skipping:  # its beginning was reported already
                skipping = False
            elif (line := _line(number, raw, blank=blank)) is not None:
                found.append(line)
        if skipping:
            rest = b""
        elif len(rest) > MAX_RECORD_BYTES:
            found.append(_too_long(number + 1, rest))
            rest, skipping = b"", True
        if found:
            yield found
    if not skipping and (line := _line(number + 1, rest, blank=blank and bool(rest))) is not None:
        yield [line]


def _line(number: int, raw: bytes, *, blank: bool) -> Line | BadRecord | None:
    if number == 1:
        raw = raw.removeprefix(_UTF_8_MARK)
    raw = raw.removesuffix(b"\r")
    if not blank and not raw.strip():
        return None
    if len(raw) > MAX_RECORD_BYTES:
        return _too_long(number, raw)
    try:
        return Line(number, raw, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BadRecord(number, raw, f"no UTF-8 at byte {error.start}")


def _too_long(number: int, raw: bytes) -> BadRecord:
    return BadRecord(number, raw[:_KEPT_OF_LONG_BYTES], f"longer than {MAX_RECORD_BYTES} bytes")
