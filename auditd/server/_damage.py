"""Damage of the evidence that was met while serving: remembered, because readiness depends on it."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from auditd.errors import DamagedError

MAX_REMEMBERED = 1_000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Damage:
    """Damage as it was first met: in which log, at which entry if that is known, and when (Unix seconds)."""

    log: str
    index: int | None
    reason: str
    message: str
    first_met_at: float


class DamageRegister:
    """What was met since the start, once each. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below it
        self._found: dict[tuple[str, str, str], Damage] = {}
        self._met = 0

    def found(self, error: DamagedError, log: str = "") -> None:
        """Take in damage that was met; `log` is where, if the error does not say."""
        log = error.facts.get("log", log)
        index = error.facts.get("index", "")
        damage = Damage(log, int(index) if index.isdigit() else None, error.reason, error.message, time.time())
        with self._lock:
            self._met += 1
            known = (log, error.reason, index) in self._found or len(self._found) >= MAX_REMEMBERED
            if not known:
                self._found[log, error.reason, index] = damage
        if not known:
            _logger.error("damage in log %s [%s]: %s", log or "?", error.reason, error.message)

    @property
    def met(self) -> int:
        """How often damage was met."""
        return self._met

    def list(self) -> list[Damage]:
        """Return what was met, each once, in the order in which it was met."""
        with self._lock:
            return list(self._found.values())
