"""On which line of a TOML text a setting stands, which Python's reader does not tell."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping


class TomlLines:
    """Finds settings in a text that parses, by reading its first lines alone: where it appears is where it stands."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._found: dict[int, frozenset[str]] = {}

    def line_of(self, name: str) -> int:
        """Return the line, from 1, of a setting such as `issuers[0].leeway_s`; of its table where it is missing."""
        total = len(self._lines)
        while name and name not in self._names(total):
            name = name.rpartition(".")[0]
        if not name:
            return 1
        low, high = 1, total
        while low < high:
            middle = (low + high) // 2
            if name in self._names(middle):
                high = middle
            else:
                low = middle + 1
        return self._first_line_of(low)

    def _names(self, count: int) -> frozenset[str]:
        """Return what the first `count` lines set; of a value that goes on after them, what was set before it."""
        while count > 0:
            known = self._found.get(count)
            if known is not None:
                return known
            try:
                values = tomllib.loads("\n".join(self._lines[:count]))
            except tomllib.TOMLDecodeError:
                count -= 1
                continue
            known = self._found[count] = frozenset(_names(values, ""))
            return known
        return frozenset()

    def _first_line_of(self, last: int) -> int:
        """Return where the statement begins that ends on line `last`: a value may take several lines."""
        for first in range(last, 0, -1):
            try:
                tomllib.loads("\n".join(self._lines[first - 1 : last]))
            except tomllib.TOMLDecodeError:
                continue
            return first
        return last


def _names(values: Mapping[str, object], where: str) -> Iterator[str]:
    for name, value in values.items():
        yield where + name
        if isinstance(value, Mapping):
            yield from _names(value, f"{where}{name}.")
        elif isinstance(value, list):
            for number, one in enumerate(value):
                yield f"{where}{name}[{number}]"
                if isinstance(one, Mapping):
                    yield from _names(one, f"{where}{name}[{number}].")
