"""Work on a log's files that must not stand in the way of commits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import apsw

from auditd.log._complaint import Complaint
from auditd.log._store import EvidenceStore

WAL_PAGES = 1_000
INTERVAL_S = 0.5

_logger = logging.getLogger(__name__)


class Housekeeper(threading.Thread):
    """Copies the write-ahead log back into the database, and runs `chore` from time to time.

    The copy waits where `room` says that the disk has none for it; `owed_bytes` is how much it would take then.
    """

    def __init__(self, name: str, store: EvidenceStore, chore: Callable[[], None], room: Callable[[int], bool]) -> None:
        super().__init__(name=f"housekeeper-{name}", daemon=True)
        self._store = store
        self._chore = chore
        self._room = room
        self.owed_bytes = 0
        self._stopped = threading.Event()
        self._complaint = Complaint(_logger, self.name)
        self._db = store.open_housekeeper()

    def run(self) -> None:
        """Work until stopped."""
        while not self._stopped.wait(INTERVAL_S):
            self.work()

    def work(self) -> None:
        """Do what is due; a failure is logged once and tried again, for nothing here is needed for an answer."""
        try:
            if self._store.wal_pages > WAL_PAGES:
                self._copy_back()
            self._chore()
        except Exception as error:  # noqa: BLE001 -- whatever the chore met, the write-ahead log must not grow for ever
            self._complaint.say(error)
        else:
            self._complaint.over()

    def _copy_back(self) -> None:
        """Copy the write-ahead log back if there is room for what the database grows by."""
        whole = self._db.pragma("page_count") * self._db.pragma("page_size")
        growth = max(0, whole - self._store.path.stat().st_size)
        # As long as this is owed, no more of callers' events is recorded than leaves room for it.
        self.owed_bytes = growth
        if growth == 0 or self._room(growth):
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self.owed_bytes = max(0, whole - self._store.path.stat().st_size)

    def stop(self) -> None:
        """End the thread, wait for it, and close the connection."""
        self._stopped.set()
        if self.is_alive():
            self.join()
        self._db.close()
