"""What a process uses, where the operating system tells (`/proc`)."""

from __future__ import annotations

import os
from pathlib import Path


def resident_mb(pid: int, field: str = "VmRSS") -> float | None:
    """Return resident memory in MB (10^6 bytes): now, or with `VmHWM` at most so far; None where not told."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next(int(line.split()[1]) * 1_024 / 1e6 for line in status.splitlines() if line.startswith(field))


def processor_s(pid: int) -> float:
    """Return the processor time used so far, of all threads, in seconds; 0 where not told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
