"""Reading files in a process of its own, so that it has a core for itself while this one sends."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from auditd_client import Event
from auditd_client.cli._errors import CommandError
from auditd_client.cli._recording import Chunk
from auditd_client.importers import Imported, PlacedEvent

Advance: TypeAlias = Callable[[int, int], None]
Read: TypeAlias = Callable[[Advance], Iterator[Chunk]]
"""Yields what files hold; tells what it is given of the bytes that it has read."""


@contextmanager
def apart(read: Read, *, with_raw: bool) -> Iterator[Read]:
    """Give what reads the same as `read` does, but in another process where that is worth it and safe.

    That process begins as a copy of this one, so a thread must not have been started yet, nor a connection opened;
    otherwise `read` itself is given. What the events were read from comes along only `with_raw`.
    """
    if not hasattr(os, "fork") or threading.active_count() > 1 or len(os.sched_getaffinity(0)) < 2:
        yield read
        return
    receiver, sender = multiprocessing.Pipe(duplex=False)
    work = partial(_send_all, read, receiver, sender, with_raw=with_raw)
    process = multiprocessing.get_context("fork").Process(target=work, name="read", daemon=True)
    process.start()
    sender.close()
    try:
        yield partial(_receive, receiver)
    finally:
        receiver.close()
        process.terminate()
        process.join()


def _send_all(read: Read, receiver: Connection, sender: Connection, *, with_raw: bool) -> None:
    # Ctrl-C is for the other process; when that is gone, nobody holds the other end any more.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    receiver.close()
    with suppress(BrokenPipeError):
        _send_chunks(read, sender, with_raw=with_raw)


def _send_chunks(read: Read, sender: Connection, *, with_raw: bool) -> None:
    bytes_read = 0

    def advance(count: int, _events: int) -> None:
        nonlocal bytes_read
        bytes_read += count

    try:
        for chunk in read(advance):
            items = [_packed(item, with_raw=with_raw) for item in chunk.events]
            _send(sender, (items, chunk.is_last_for_now, bytes_read))
            bytes_read = 0
    except CommandError as error:
        _send(sender, (error.lines, error.status))
    else:
        _send(sender, None)


def _send(sender: Connection, message: Any) -> None:  # noqa: ANN401 - plain values
    sender.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def _packed(item: Imported, *, with_raw: bool) -> Any:  # noqa: ANN401 - a plain tuple, or a line as it is
    if isinstance(item, PlacedEvent):
        return item.where, item.event.SerializeToString(), item.raw if with_raw else b""
    return item


def _receive(receiver: Connection, advance: Advance) -> Iterator[Chunk]:
    while True:
        try:
            # Written by a copy of this very process, to nobody else.
            message = pickle.loads(receiver.recv_bytes())  # noqa: S301
        except EOFError:
            raise RuntimeError("the process that reads the files has ended") from None
        if message is None:
            return
        if len(message) == 2:
            lines, status = message
            raise CommandError(*lines, status=status)
        items, is_last_for_now, bytes_read = message
        advance(bytes_read, 0)
        yield Chunk([_unpacked(item) for item in items], is_last_for_now)


def _unpacked(item: Any) -> Imported:  # noqa: ANN401 - as `_packed` made it
    if type(item) is tuple:
        where, event, raw = item
        return PlacedEvent(where, Event.FromString(event), raw)
    line: Imported = item
    return line
