"""What is derived from a log: a file that a thread fills behind the commits and searches read."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import apsw

from auditd.errors import AuditdError
from auditd.log import Complaint
from auditd.query._derived_file import Form, UnfitError, close, create, is_unfit, open_writer
from auditd.query._readers import Readers, Snapshot
from auditd.query._source import Source
from auditd.regular_file import is_other

_S = TypeVar("_S", bound=Snapshot)
OnError = Callable[[AuditdError], None]
_logger = logging.getLogger(__name__)


def unheard(_error: AuditdError) -> None:
    """Tell nobody."""


class Derived(ABC, Generic[_S]):
    """Narrows searches of one log; never decides one, and can be deleted at any time.

    Its thread, and no other, writes the file. A file that is missing, damaged, of another version or of other
    evidence is built anew; until it covers an entry, searches read that entry from the evidence.

    Args:
        path: the file, made when it is missing.
        source: the log.
        form: what the file holds.
        snapshot: how it is read.
        retry_s: how long to wait, in seconds, when the file cannot be written or the evidence is damaged.
        room: tells whether the disk has room for more of it; until then it waits.
        on_error: told, in the thread, of what the evidence, not the file, was found to be.

    """

    def __init__(
        self,
        path: Path,
        source: Source,
        form: Form,
        snapshot: type[_S],
        retry_s: float,
        room: Callable[[], bool],
        on_error: OnError,
    ) -> None:
        self._path = path
        self._source = source
        self._form = form
        self._retry_s = retry_s
        self._room = room
        self._on_error = on_error
        self._complaint = Complaint(_logger, f"{path.stem} of {source.origin}")
        self._readers: Readers[_S] = Readers(path, snapshot)
        # `_condition` guards every attribute below it.
        self._condition = threading.Condition()
        self._covered = 0
        self._usable = False
        self._distrusted = False
        self._closing = False
        self._sealed = False
        self._resting = False
        self._thread = self._new_thread()

    @property
    def covered(self) -> int:
        """How many entries, from the first on, the index covers."""
        with self._condition:
            return self._covered

    @property
    def usable(self) -> bool:
        """Whether searches can use it now; without it they read the evidence."""
        with self._condition:
            return self._usable

    @property
    def lag(self) -> int:
        """How many committed entries the index does not cover yet."""
        return max(0, self._source.size - self.covered)

    def wait_covered(self, size: int, timeout_s: float) -> bool:
        """Wait until the index covers the first `size` entries; return whether it does."""
        with self._condition:
            return self._condition.wait_for(lambda: self._covered >= size, timeout_s)

    @contextmanager
    def snapshot(self) -> Iterator[_S | None]:
        """Give the index as it is now; None while it is unusable.

        Whatever goes wrong in reading it is raised as `IndexUnusableError`, after which it is built anew.
        """
        with self._condition:
            usable = self._usable
        if not usable:
            yield None
            return
        with self._readers.snapshot(self._distrust) as snapshot:
            yield snapshot

    def seal(self) -> None:
        """Learn that the source grows no more: once all is covered no thread is needed, unless the file is lost."""
        with self._condition:
            self._sealed = True
            self._condition.notify_all()

    def close(self) -> None:
        """Stop the thread and close the file. What was offered and not yet written is read again later."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
            thread = self._thread
        thread.join()
        self._readers.retire()

    def _distrust(self) -> None:
        with self._condition:
            self._distrusted = True
            self._usable = False
            self._condition.notify_all()
            if self._resting and not self._closing:
                self._resting = False
                self._thread = self._new_thread(self._thread)
                self._thread.start()

    def _new_thread(self, after: threading.Thread | None = None) -> threading.Thread:
        name = f"{self._path.stem} of {self._source.name}"
        return threading.Thread(target=self._run, name=name, args=(after,), daemon=True)

    def _run(self, after: threading.Thread | None) -> None:
        rebuild = after is not None
        if after is not None:
            # It may still be closing the file that is to be replaced.
            after.join()
        while not self._closed(0):
            try:
                connection = self._open(rebuild=rebuild)
                done = False
                try:
                    self._feed(connection)
                    done = self._may_rest()
                finally:
                    if not done:
                        self._retire(connection)
                if done:
                    close(connection)
                    return
                rebuild = True
            except (apsw.Error, OSError) as error:
                self._complaint.say(error)
                rebuild = is_unfit(error)
                self._closed(self._retry_s)
            except AuditdError as error:
                # Searches meet the same evidence and report it; the index must only not hide it.
                self._complaint.say(error, logging.ERROR)
                self._on_error(error)
                rebuild = False
                self._closed(self._retry_s)

    def _may_rest(self) -> bool:
        """Tell whether nothing is left to do; from then on whoever finds the file unfit starts another thread."""
        with self._condition:
            self._resting = self._sealed and not self._stopping
            return self._resting

    def _closed(self, timeout_s: float) -> bool:
        with self._condition:
            return self._condition.wait_for(lambda: self._closing, timeout_s)

    def _open(self, *, rebuild: bool) -> apsw.Connection:
        """Open the file, in a state fit for use."""
        size = 0
        if is_other(self._path):
            raise OSError(f"{self._path} is no regular file; move it away, and it is made anew")
        try:
            if rebuild:
                raise UnfitError("could not be read")
            connection, size = open_writer(self._path, self._form, self._source)
        except UnfitError as reason:
            _logger.info("%s of %s is built: %s", self._path.stem, self._source.origin, reason)
            connection = create(self._path, self._form)
        with self._condition:
            self._covered = size
            self._opened()
            self._distrusted = False
            self._usable = True
            self._condition.notify_all()
        return connection

    def _retire(self, connection: apsw.Connection) -> None:
        with self._condition:
            self._usable = False
            self._covered = 0
        self._readers.retire()
        close(connection)

    def _await_room(self) -> bool:
        """Wait for room on the disk, which searches can do without; tell whether there is still something to do."""
        while not self._room():
            self._complaint.say("waits for room on the disk (min_free_bytes)")
            with self._condition:
                if self._condition.wait_for(lambda: self._stopping, self._retry_s):
                    return False
        return True

    @property
    def _stopping(self) -> bool:
        return self._closing or self._distrusted

    @abstractmethod
    def _feed(self, connection: apsw.Connection) -> None:
        """Write what is not covered yet, and what comes, until this is closed or distrusted."""

    def _opened(self) -> None:
        """Take notice that the file was opened; `_condition` is held."""
