"""Reading a derived file: snapshots, and connections kept for the next of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar, cast

import apsw

from auditd.query._derived_file import close, open_reader

_MAX_IDLE = 4
Bindings: TypeAlias = "Sequence[int | bytes] | Mapping[str, int]"


class IndexUnusableError(Exception):
    """The index could not be read; whatever it was to narrow must be scanned."""


class Snapshot:
    """A derived file as one reader sees it: later commits do not show.

    Raises:
        IndexUnusableError: the file cannot be read; so does every method.

    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        try:
            connection.execute("BEGIN")
            rows = connection.execute("SELECT size FROM covered").fetchall()
        except apsw.Error as error:
            raise IndexUnusableError(str(error)) from error
        if len(rows) != 1:
            raise IndexUnusableError("no record of what it covers")
        self._size = cast("int", rows[0][0])

    @property
    def size(self) -> int:
        """How many entries, from the first on, it covers."""
        return self._size

    def _rows(self, sql: str, values: Bindings = ()) -> list[tuple[object, ...]]:
        try:
            return cast("list[tuple[object, ...]]", self._connection.execute(sql, values).fetchall())
        except apsw.Error as error:
            raise IndexUnusableError(str(error)) from error

    def end(self) -> None:
        """Let go of what was seen."""
        try:
            self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            raise IndexUnusableError(str(error)) from error


_S = TypeVar("_S", bound=Snapshot)


class Readers(Generic[_S]):
    """A pool of read-only connections to one file."""

    def __init__(self, path: Path, snapshot: type[_S]) -> None:
        self._path = path
        self._snapshot = snapshot
        # `_lock` guards the two below it.
        self._lock = threading.Lock()
        self._idle: list[apsw.Connection] = []
        self._generation = 0

    @contextmanager
    def snapshot(self, damaged: Callable[[], None]) -> Iterator[_S]:
        """Give a snapshot of the file.

        Args:
            damaged: called when the file cannot be read, before the error is raised.

        Raises:
            IndexUnusableError: the file cannot be read.

        """
        try:
            connection, generation = self._take()
            try:
                snapshot = self._snapshot(connection)
                try:
                    yield snapshot
                finally:
                    snapshot.end()
            except IndexUnusableError:
                generation = -1
                raise
            finally:
                self._put_back(connection, generation)
        except IndexUnusableError:
            damaged()
            raise

    def retire(self) -> None:
        """Use no connection to the present file again."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            close(connection)

    def _take(self) -> tuple[apsw.Connection, int]:
        with self._lock:
            generation = self._generation
            if self._idle:
                return self._idle.pop(), generation
        return _open(self._path), generation

    def _put_back(self, connection: apsw.Connection, generation: int) -> None:
        with self._lock:
            if generation == self._generation and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        close(connection)


def _open(path: Path) -> apsw.Connection:
    try:
        return open_reader(path)
    except apsw.Error as error:
        raise IndexUnusableError(str(error)) from error
