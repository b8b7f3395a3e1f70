"""Work on a log's files that must not stand in the way of commits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from auditd.errors import AuditdError
from auditd.log._database import open_housekeeper
from auditd.log._store import EvidenceStore

WAL_PAGES = 1_000
INTERVAL_S = 0.5

_logger = logging.getLogger(__name__)


class Housekeeper(threading.Thread):
    """Copies the write-ahead log back into the database, and runs `chore` from time to time."""

    def __init__(self, name: str, path: Path, store: EvidenceStore, chore: Callable[[], None]) -> None:
        super().__init__(name=f"housekeeper-{name}", daemon=True)
        self._path = path
        self._store = store
        self._chore = chore
        self._stopped = threading.Event()

    def run(self) -> None:
        """Work until stopped; a failure is logged and tried again, for nothing here is needed for an answer."""
        db = open_housekeeper(self._path)
        try:
            while not self._stopped.wait(INTERVAL_S):
                try:
                    if self._store.wal_pages > WAL_PAGES:
                        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                    self._chore()
                except (AuditdError, apsw.Error, OSError) as error:
                    _logger.warning("%s: %s", self.name, error)
        finally:
            db.close()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        self.join()
