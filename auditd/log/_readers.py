"""The connections that read evidence, and what could not be read with them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import apsw

from auditd.errors import AuditdError, UnavailableError
from auditd.log._database import open_reader
from auditd.log._second_look import look_again, may_be_refused, unavailable

MAX_REMEMBERED = 16
"""Of reads that the device refused."""
CONNECTIONS = 8

_T = TypeVar("_T")
_Query = Callable[..., object]

_logger = logging.getLogger(__name__)


class Readers:
    """A few connections to one evidence file, for any thread.

    No error of SQLite passes: DamagedError is raised where the file contradicts itself or its checksums,
    UnavailableError where a retry may do better, or this is closed. What the device refuses to read is remembered until
    `try_again` has read it.
    """

    def __init__(self, path: Path, connections: int = CONNECTIONS) -> None:
        self._connections = connections
        self._path = path
        self._name = path.parent.name
        # None, once closed, tells whoever waits for a connection.
        # The one used last comes first: its pages are in memory, and those of readers that nobody needs never are.
        self._idle: queue.LifoQueue[apsw.Connection | None] = queue.LifoQueue()
        self._lock = threading.Lock()  # guards the two below it
        self._refused: list[tuple[_Query, tuple[object, ...], str]] = []
        self._failures = 0
        with ExitStack() as opened:
            for _ in range(connections):
                reader = open_reader(path)
                opened.callback(reader.close)
                self._idle.put(reader)
            opened.pop_all()

    def read(self, query: Callable[..., _T], *args: object) -> _T:
        """Return what `query`, a function of a connection and these arguments, returns."""
        db = self._idle.get()
        try:
            if db is None:
                raise UnavailableError("LOG_CLOSED", "the log is closed: the server is stopping")
            return self.read_by(db, query, *args)
        finally:
            self._idle.put(db)

    def read_by(self, db: apsw.Connection, query: Callable[..., _T], *args: object) -> _T:
        """Do what `read` does by a connection that the caller has."""
        try:
            return query(db, *args)
        except apsw.Error as error:
            if not may_be_refused(error):
                raise unavailable(error, self._path) from error
        try:
            return look_again(self._path, lambda fresh: query(fresh, *args))
        except UnavailableError as error:
            self._remember(query, args, error.message)
            raise

    @property
    def failures(self) -> int:
        """How often the device refused a read."""
        return self._failures

    @property
    def problem(self) -> str:
        """What cannot be read, as far as is known; empty if nothing is."""
        refused = self._refused
        return refused[0][2] if refused else ""

    def try_again(self) -> None:
        """Read what could not be read, and forget what can be by now, or is damaged: whoever asks for it is told."""
        with self._lock:
            refused = list(self._refused)
        for query, args, _ in refused:
            try:
                look_again(self._path, lambda db, query=query, args=args: query(db, *args))  # type: ignore[misc]
            except UnavailableError:
                continue
            except AuditdError as error:
                _logger.warning("log %s: %s", self._name, error.message)
            self._forget(query, args)

    def close(self) -> None:
        """Close every connection, each as soon as it is given back; may be called once."""
        for _ in range(self._connections):
            if reader := self._idle.get():
                reader.close()
        self._idle.put(None)

    def _remember(self, query: _Query, args: tuple[object, ...], message: str) -> None:
        with self._lock:
            self._failures += 1
            first = not self._refused
            known = any((query, args) == (one, of) for one, of, _ in self._refused)
            if not known and len(self._refused) < MAX_REMEMBERED:
                self._refused.append((query, args, message))
        if first:
            _logger.error("log %s: %s", self._name, message)

    def _forget(self, query: _Query, args: tuple[object, ...]) -> None:
        with self._lock:
            self._refused = [item for item in self._refused if item[:2] != (query, args)]
            last = not self._refused
        if last:
            _logger.info("log %s: what could not be read can be read again", self._name)
