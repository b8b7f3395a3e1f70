"""What the writer of a log has done, and whether it can go on."""

from __future__ import annotations

from auditd.measures import Histogram


class WriterMeasures:
    """Counts of one writer, whose thread alone adds to them; any thread may read.

    `problem` is why the newest commit failed, empty once the evidence was reopened and verified again.
    """

    __slots__ = ("commits", "duplicates", "entries", "failures", "prepare", "problem", "sign", "store")

    def __init__(self) -> None:
        self.commits = 0
        self.entries = 0
        self.duplicates = 0
        self.failures = 0
        self.problem = ""
        self.prepare = Histogram()
        self.store = Histogram()
        self.sign = Histogram()

    def committed(self, entries: int, began: float, prepared: float, stored: float, signed: float) -> None:
        """Count a commit of some entries, whose stages ended at these times (seconds from any start)."""
        self.commits += 1
        self.entries += entries
        self.prepare.add(prepared - began)
        self.store.add(stored - prepared)
        self.sign.add(signed - stored)

    def failed(self, error: Exception) -> None:
        """Count a commit that failed."""
        self.failures += 1
        self.problem = str(error) or type(error).__name__
