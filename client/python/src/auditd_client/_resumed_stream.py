"""Streams of entries, asked for again when they end too early."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, Generic, Protocol, TypeVar

import grpc

from auditd_client._model import Entry
from auditd_client._status import error_from_rpc
from auditd_client.errors import ClientError, UnreachableError

_Request_co = TypeVar("_Request_co", covariant=True)
_Message_contra = TypeVar("_Message_contra", contravariant=True)
_R = TypeVar("_R")
_M = TypeVar("_M")


class Reader(Protocol[_Request_co, _Message_contra]):
    """What a stream is to bring, through all the calls that it takes; without any I/O."""

    @property
    def silence_s(self) -> float:
        """A stream that says nothing for this long is lost, whatever the network says."""

    @property
    def is_complete(self) -> bool:
        """Whether everything was received, so that the end of the stream is no failure."""

    def request(self) -> _Request_co:
        """Return what the next call asks for."""

    def receive(self, message: _Message_contra) -> list[Entry]:
        """Return the entries of a message. MUST raise if it does not follow the one before."""

    def pause_after(self, error: ClientError) -> float:
        """Return the seconds to wait before the next call. MUST raise `error` if none would help."""


class ResumedStream(Generic[_R, _M]):
    """Batches of entries from as many calls as it takes. For one thread; `close` may be called from any."""

    def __init__(self, reader: Reader[_R, _M], call: Callable[[_R], Any], sleep: Callable[[float], None]) -> None:
        self._reader = reader
        self._call = call
        self._sleep = sleep
        self._lock = threading.Lock()  # guards the two below it
        self._stream: Any = None
        self._closed = False

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the entries of each message."""
        while not self._closed:
            try:
                yield from self._messages()
                if self._reader.is_complete:
                    return
                error = stream_ended()
            except ClientError as failure:
                error = failure
            if self._closed:
                return
            self._sleep(self._reader.pause_after(error))

    def close(self) -> None:
        """End the stream."""
        with self._lock:
            self._closed = True
            if self._stream is not None:
                self._stream.cancel()

    def _messages(self) -> Iterator[list[Entry]]:
        stream = self._call(self._reader.request())
        with self._lock:
            self._stream = stream
            if self._closed:
                stream.cancel()
        with closing(received(stream, self._reader.silence_s)) as messages:
            yield from map(self._reader.receive, messages)


def received(stream: Any, silence_s: float) -> Generator[Any, None, None]:  # noqa: ANN401 - grpc has no types
    """Yield the messages of a stream, and have it cancelled in the end.

    Raises UnreachableError where none comes for so many seconds, ClientError where the stream ends with an error.
    """
    silence = _Silence(silence_s, stream.cancel)
    try:
        while (message := silence.broken_by(stream)) is not None:
            yield message
    except grpc.RpcError as failure:
        if silence.was_too_long:
            raise UnreachableError("the server has fallen silent", reason="UNREACHABLE") from failure
        raise error_from_rpc(failure) from failure
    finally:
        silence.end()
        stream.cancel()


def stream_ended() -> ClientError:
    """Return what stands for the end of a stream that was to go on."""
    return UnreachableError("the server ended the stream", reason="UNREACHABLE")


class _Silence:
    """Cancels a stream on which a message is waited for too long: its connection may be gone without a word."""

    def __init__(self, lasts_s: float, cancel: Callable[[], object]) -> None:
        self._lasts_s = lasts_s
        self._cancel = cancel
        self._lasts_until = math.inf  # written by the reader's thread alone
        self._ended = threading.Event()
        self.was_too_long = False
        threading.Thread(target=self._watch, name="auditd-stream", daemon=True).start()

    def broken_by(self, stream: Iterator[_M]) -> _M | None:
        """Wait for the next message and return it; None at the end of the stream."""
        self._lasts_until = time.monotonic() + self._lasts_s
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
                self.was_too_long = True
                self._cancel()
                return
