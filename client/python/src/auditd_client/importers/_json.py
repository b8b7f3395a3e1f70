"""JSON records: one a line, or the objects of an array, alone in a file or as a member of a document."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

from auditd_client.importers._lines import Line, lines
from auditd_client.importers._mapping import Reading
from auditd_client.importers._members import (
    JsonObject,
    JsonTextError,
    key_at,
    object_at,
    skip_space,
    value_at,
)
from auditd_client.importers._records import MAX_RECORD_BYTES, BadRecord, Found, Record

_T = TypeVar("_T")

_MARK = "\ufeff"
_BEGIN_BYTES = 1 << 18
_LIST_LENGTH = 256
_SHOWN_CHARACTERS = 1 << 12


def read_json(pieces: Iterator[bytes], reading: Reading) -> Iterator[list[Found]]:
    """Yield the records of a file of JSON; its beginning decides whether it is lines or a document."""
    begin, decided = b"", None
    while decided is None and len(begin) < _BEGIN_BYTES and (piece := next(pieces, b"")):
        begin += piece
        decided = _is_document(begin.decode("utf-8", "replace"), reading.array)
    pieces = chain((begin,), pieces)
    if decided:
        yield from _batched(_documents(_Text(pieces), reading.array))
        return
    for batch in lines(pieces):
        yield [_record(line) if isinstance(line, Line) else line for line in batch]


def _record(line: Line) -> Found:
    text = line.text
    try:
        members = object_at(text, skip_space(text, 0))
        if (end := skip_space(text, members.end)) < len(text):
            raise JsonTextError(f"more text after the object, at character {end}")
    except JsonTextError as error:
        return BadRecord(line.number, line.raw, str(error))
    return Record(line.number, line.raw, members)


def _is_document(text: str, array: str) -> bool | None:
    """Whether a file that begins with `text` is an array, or an object whose member `array` is one.

    None if the text is too short to say.
    """
    position = skip_space(text, 1 if text.startswith(_MARK) else 0)
    if text.startswith("[", position):
        return True
    if position == len(text):
        return None
    if not array or not text.startswith("{", position):
        return False
    try:
        while True:
            key, position = key_at(text, skip_space(text, position + 1))
            if key == array:
                return None if position == len(text) else text.startswith("[", position)
            _, position = value_at(text, position)
            position = skip_space(text, position)
            if not text.startswith(",", position):
                return False
    except JsonTextError:
        return None


def _batched(found: Iterator[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    for one in found:
        batch.append(one)
        if len(batch) == _LIST_LENGTH:
            yield batch
            batch = []
    yield batch


class _Text:
    """JSON text of which only a part is in memory, and the place in it that is read next."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        # Bytes that are no UTF-8 become surrogates, so that only the record that holds them is refused.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._position = 0
        self.line = 1
        if self._grow() and self._text.startswith(_MARK):
            self._position = 1

    def next(self) -> str:
        """Go to the next character that is no white space and return it, empty at the end."""
        while True:
            # Machines write no white space: most often the next character is right here.
            if (here := self._text[self._position : self._position + 1]) > " ":
                return here
            self.go_to(skip_space(self._text, self._position))
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._grow():
                return ""

    def take(self, expected: str) -> str:
        """Go behind the next character, which is one of those expected, and return it.

        Raises JsonTextError if it is another.
        """
        if (found := self.next()) == "" or found not in expected:
            raise JsonTextError(f"{found or 'the end'!r} where one of {expected!r} is expected")
        self._position += 1
        return found

    def parse(self, parser: Callable[[str, int], _T], end_of: Callable[[_T], int]) -> tuple[_T, str]:
        """Return what `parser` finds here, and its text, and go behind it.

        Raises JsonTextError, whose positions count from here, if it finds nothing, or no end of it in time.
        """
        self.next()
        while True:
            try:
                found = parser(self._text, self._position)
                end = end_of(found)
                if end < len(self._text) or not self._grow():  # a number may go on in the next piece
                    text = self._text[self._position : end]
                    self.go_to(end)
                    return found, text
            except JsonTextError:
                if len(self._text) - self._position > MAX_RECORD_BYTES:
                    raise JsonTextError(f"no end within {MAX_RECORD_BYTES} bytes") from None
                if not self._grow():
                    parser(self.ahead(), 0)
                    raise

    def ahead(self) -> str:
        """Return the text from here on, as far as it is in memory."""
        return self._text[self._position :]

    def go_to(self, position: int) -> None:
        self.line += self._text.count("\n", self._position, position)
        self._position = position

    def _grow(self) -> bool:
        """Read as much again as is left, forgetting what is done; return False at the end."""
        parts = [self._text[self._position :]]
        wanted, grown = len(parts[0]), 0
        for piece in self._pieces:
            parts.append(self._decoder.decode(piece))
            grown += len(parts[-1])
            if grown > wanted:
                break
        else:
            parts.append(self._decoder.decode(b"", final=True))
            grown += len(parts[-1])
        if not grown:
            return False
        self._text, self._position = "".join(parts), 0
        return True


def _documents(text: _Text, array: str) -> Iterator[Found]:
    """Yield the records of the documents that follow each other in the text."""
    try:
        while text.next():
            if text.take("[{") == "[":
                yield from _items(text, "")
            else:
                yield from _members(text, array)
    except JsonTextError as error:
        rest = text.ahead()[:_SHOWN_CHARACTERS].encode("utf-8", "surrogateescape")
        yield BadRecord(text.line, rest, f"{error}; the rest of the file cannot be read")


def _members(text: _Text, array: str) -> Iterator[Found]:
    """Yield the records of the member `array` of the object whose brace was taken."""
    if text.next() == "}":
        text.take("}")
        return
    while True:
        (key, _), _ = text.parse(key_at, _second)
        if key == array and text.next() == "[":
            text.take("[")
            yield from _items(text, array)
        else:
            text.parse(value_at, _second)
        if text.take(",}") == "}":
            return


def _items(text: _Text, name: str) -> Iterator[Found]:
    """Yield the objects of the array whose bracket was taken."""
    if text.next() == "]":
        text.take("]")
        return
    number = 0
    while True:
        yield _item(text, f"{name}[{number}]")
        number += 1
        if text.take(",]") == "]":
            return


def _item(text: _Text, place: str) -> Found:
    """Return the object that begins here, or what stands in its place.

    Raises JsonTextError if nobody can say where the next one begins.
    """
    text.next()
    line = text.line
    try:
        members, written = text.parse(object_at, _end)
    except JsonTextError as error:
        try:
            _, written = text.parse(value_at, _second)
        except JsonTextError:
            raise error from None
        return BadRecord(line, written.encode("utf-8", "surrogateescape"), str(error), place)
    raw = written.encode("utf-8", "surrogateescape")
    if not written.isascii() and (position := _no_utf_8(raw)) is not None:
        return BadRecord(line, raw, f"no UTF-8 at byte {position}", place)
    return Record(line, raw, members, place)


def _no_utf_8(raw: bytes) -> int | None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _second(found: tuple[Any, int]) -> int:
    return found[1]


def _end(found: JsonObject) -> int:
    return found.end
