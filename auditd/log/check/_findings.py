"""What a check found wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: what kind, where (`entry 41`, `entries 300 to 411`, `tile 3 of level 0`), and why."""

    kind: str
    where: str
    what: str


class Findings:
    """Collects findings; beyond a hundred it only counts them, so that a ruined log is checked in bounded memory."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.count = 0

    def add(self, kind: str, where: str, what: str) -> None:
        """Note a finding."""
        self.count += 1
        if len(self.kept) < MAX_FINDINGS:
            self.kept.append(Finding(kind, where, what))

    def take(self, others: Findings) -> None:
        """Take in what others have collected."""
        self.count += others.count
        self.kept += others.kept[: MAX_FINDINGS - len(self.kept)]


Progress = Callable[[int, int], None]
"""Called with how many entries are done, and how many there are."""
