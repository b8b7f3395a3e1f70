"""How importing fails: a mapping, a file, or one record of it."""

from __future__ import annotations


class MappingError(ValueError):
    """A mapping cannot be used; the message names the table, the rule and the value."""


class RecordError(ValueError):
    """A record cannot become an event; the message names the member, the rule and the value."""


class ImportFileError(Exception):
    """A file cannot be read, at all or any further; `place` is a line number, or empty."""

    def __init__(self, source: str, place: str, message: str) -> None:
        super().__init__(f"{source}:{place}: {message}" if place else f"{source}: {message}")
        self.source = source
        self.place = place
        self.message = message
