"""`auditlog check` of a whole folder, from starting the command to its end."""

from __future__ import annotations

import time
from pathlib import Path

from demo._server import auditlog


def check_per_s(folder: Path, entries: int, jobs: int) -> float:
    """Return how many entries a second are checked, of the `entries` of a sound folder. Raises CommandError if not."""
    started = time.perf_counter()
    auditlog("check", str(folder), "--jobs", str(jobs), "--output", "json")
    return entries / (time.perf_counter() - started)
