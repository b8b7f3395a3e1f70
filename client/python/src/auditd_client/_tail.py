"""Tails: the entries of a log as they are recorded, resumed after any disconnect."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import grpc

from auditd_client._follower import SILENCE_S, Follower, stream_ended
from auditd_client._model import Entry
from auditd_client._status import error_from_rpc
from auditd_client.errors import ClientError
from auditd_proto.v1 import audit_log_service_pb2 as pb


class Tail:
    """The entries that a filter selects, as they are recorded: an iterator that ends only with `close`.

    It connects with the first entry asked for, and again after any disconnect, without gap or repeat. To be used from
    one thread; `close` may be called from any.
    """

    def __init__(
        self, follower: Follower, open_stream: Callable[[pb.TailRequest], Any], sleep: Callable[[float], None]
    ) -> None:
        self._follower = follower
        self._open_stream = open_stream
        self._sleep = sleep
        self._lock = threading.Lock()  # guards the two below it
        self._stream: Any = None
        self._closed = False
        self._batches = self._follow()
        self._entries = self._one_by_one()
        self._next_index = follower.next_index

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def next_index(self) -> int | None:
        """Where a later tail of the same filter goes on: everything before was yielded, or is not selected.

        None as long as a tail from now on has not begun.
        """
        return self._next_index

    @property
    def checkpoint(self) -> str | None:
        """The signed note received last, which covers all that was yielded; verified if the log's key is known."""
        return self._follower.checkpoint

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the entries as they come, several at once; an empty list every few seconds in which none does.

        After each, `next_index` says where to go on: a good moment to write it down.
        """
        for batch in self._batches:
            self._next_index = self._follower.next_index
            yield batch

    def close(self) -> None:
        """End the tail."""
        with self._lock:
            self._closed = True
            if self._stream is not None:
                self._stream.cancel()

    def _one_by_one(self) -> Iterator[Entry]:
        for batch in self._batches:
            for entry in batch:
                self._next_index = entry.index + 1
                yield entry
            self._next_index = self._follower.next_index

    def _follow(self) -> Iterator[list[Entry]]:
        while not self._closed:
            try:
                yield from self._messages()
                error = stream_ended()
            except ClientError as failure:
                error = failure
            if self._closed:
                return
            self._sleep(self._follower.pause_after(error))

    def _messages(self) -> Iterator[list[Entry]]:
        stream = self._open_stream(self._follower.request())
        with self._lock:
            self._stream = stream
            if self._closed:
                stream.cancel()
        silence = _Silence(stream.cancel)
        try:
            while (message := silence.broken_by(stream)) is not None:
                yield self._follower.receive(message)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure
        finally:
            silence.end()
            stream.cancel()


class _Silence:
    """Cancels a stream on which a message is waited for too long: its connection may be gone without a word."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._lasts_until = math.inf  # written by the reader's thread alone
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="auditd-tail", daemon=True).start()

    def broken_by(self, stream: Iterator[pb.TailResponse]) -> pb.TailResponse | None:
        """Wait for the next message and return it; None at the end of the stream."""
        self._lasts_until = time.monotonic() + SILENCE_S
        try:
            return next(stream, None)
        finally:
            self._lasts_until = math.inf

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(1.0):
            if time.monotonic() > self._lasts_until:
                self._cancel()
                return
