"""Reading ahead: the next batch is made while the server works on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")

_DEPTH = 2


@dataclass(frozen=True, slots=True)
class _Item(Generic[_T]):
    value: _T


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


def read_ahead(items: Iterable[_T]) -> Generator[_T, None, None]:
    """Yield the items, which a thread of its own makes up to two items ahead.

    An error of `items` is raised where the failing item would stand. Closing the generator stops the thread
    after the item it is at; a read that never returns does not keep the process alive.
    """
    ready: queue.Queue[_Item[_T] | _End] = queue.Queue(_DEPTH)
    stopped = threading.Event()

    def make() -> None:
        end = _End(None)
        try:
            for item in items:
                ready.put(_Item(item))
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by whoever reads
            end = _End(error)
        ready.put(end)

    threading.Thread(target=make, name="read-ahead", daemon=True).start()
    try:
        while not isinstance(got := ready.get(), _End):
            yield got.value
        if got.error is not None:
            raise got.error
    finally:
        stopped.set()
        while not ready.empty():  # whoever waits to put must get on, to see that it is over
            ready.get_nowait()
