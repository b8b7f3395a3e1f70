"""Being told to end: by `kill`, a service manager, or a terminal that is closed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.01
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class ToldToEndError(KeyboardInterrupt):
    """A signal that asks to end. To commands it is as Ctrl-C: they clean up, and say what they say."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def told_to_end() -> Iterator[None]:
    """Raise ToldToEndError in the block where a signal asks to end, unless it was to be ignored, as under `nohup`."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may ask for signals
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    unraisable = sys.unraisablehook

    def raise_again(lost: sys.UnraisableHookArgs) -> None:
        # Raised where nobody can catch it, in a weak reference's callback: it would be lost, and the command go on.
        if isinstance(lost.exc_value, ToldToEndError):
            signal.signal(lost.exc_value.number, _raise)
            # Not from here, where it would be lost again.
            again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), lost.exc_value.number))
            again.daemon = True
            again.start()
        else:
            unraisable(lost)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _raise)
    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    # Cleaning up may take a moment in which another signal must not cut it short.
    signal.signal(number, signal.SIG_IGN)
    raise ToldToEndError(number)
