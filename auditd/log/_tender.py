"""What closed logs still need, done by one thread for all of them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from auditd.log._complaint import Complaint

if TYPE_CHECKING:
    from auditd.log._log import Log

INTERVAL_S = 0.5

_logger = logging.getLogger(__name__)


class Tender(threading.Thread):
    """Tends closed logs: signatures of their last tokens are still to come. Runs once it has one to tend."""

    def __init__(self) -> None:
        super().__init__(name="closed-logs", daemon=True)
        self._stopped = threading.Event()
        self._logs: tuple[Log, ...] = ()
        self._complaints: dict[str, Complaint] = {}

    def add(self, log: Log) -> None:
        """Tend a log too, whose own threads have ended."""
        self._logs = (*self._logs, log)
        if self.ident is None:
            self.start()

    def run(self) -> None:
        """Work until stopped."""
        while not self._stopped.wait(INTERVAL_S):
            for log in self._logs:
                self._tend(log)

    def _tend(self, log: Log) -> None:
        complaint = self._complaints.setdefault(log.origin, Complaint(_logger, log.name))
        try:
            log.tend()
        except Exception as error:  # noqa: BLE001 -- it is tried again, and the others need it as well
            complaint.say(error)
        else:
            complaint.over()

    def stop(self) -> None:
        """End the thread and wait for it; before the logs are closed."""
        self._stopped.set()
        if self.is_alive():
            self.join()
