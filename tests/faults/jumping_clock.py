"""`auditlog` with a clock that jumps: python jumping_clock.py FILE ARGUMENT...

FILE holds how many seconds the clock is off, and what the kernel says of it: 1 synchronized, 0 not.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

_STATE = struct.Struct("<dd")


class JumpingClock:
    """The state in FILE, for a test to change while a server runs."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(_STATE.pack(0, 1))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _STATE.size)

    @property
    def off_s(self) -> float:
        return _STATE.unpack(self._shared[:])[0]

    @property
    def synchronized(self) -> bool:
        return bool(_STATE.unpack(self._shared[:])[1])

    def set(self, off_s: float, *, synchronized: bool) -> None:
        self._shared[:] = _STATE.pack(off_s, synchronized)


def _run() -> None:
    clock = JumpingClock(Path(sys.argv.pop(1)))
    right_s, right_ns = time.time, time.time_ns
    time.time = lambda: right_s() + clock.off_s
    time.time_ns = lambda: right_ns() + int(clock.off_s * 1e9)
    from auditd.server import _clock

    _clock.kernel_synchronized = lambda: clock.synchronized  # type: ignore[assignment]
    from auditd_client.cli import main

    sys.exit(main())


if __name__ == "__main__":
    _run()
