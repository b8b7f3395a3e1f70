"""A gRPC client that costs next to nothing: unary calls over HTTP/2, with frames written by hand.

The stock client takes about as much processor time for a call as the server does, so on two cores it would
measure itself. This one keeps to RFC 9113 and to flow control, sends one constant header block a call, and hands
answers on unparsed. It knows no compression, and is for measuring alone.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_HEADER_TABLE_SIZE, _MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 3, 4, 5
_MAX_WINDOW: Final = 2**31 - 1
_DEFAULT_WINDOW: Final = 65_535
_FRAME_BYTES: Final = 16_384
_HEAD: Final = struct.Struct(">HBBBL")  # length (24 bits in two fields), type, flags, stream
_CANCEL: Final = (8).to_bytes(4, "big")  # RFC 9113 section 7
_SETTING: Final = struct.Struct(">HL")
_STATUS: Final = b"grpc-status"

OK: Final = 0
RESOURCE_EXHAUSTED: Final = 8
UNAVAILABLE: Final = 14

Answered = Callable[["Connection", int, int, bytes], None]
"""Called with connection, stream, gRPC status and message; unless the status is OK, with the trailers instead."""


class CallError(Exception):
    """A call was not answered, or not as expected."""


def encode_headers(headers: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Return two header blocks (RFC 7541): the first names headers for the table, the later ones refer to it."""
    first = b"".join(
        b"\x40" + _hpack_length(len(name)) + name + _hpack_length(len(value)) + value for name, value in headers
    )
    # The header added last has the lowest dynamic index, 62.
    later = bytes([0x80 | 61 + len(headers) - position for position in range(len(headers))])
    return first, later


def _hpack_length(length: int) -> bytes:
    """Return a string's length with a prefix of seven bits, not Huffman coded (RFC 7541 section 5.1)."""
    if length < 127:
        return bytes([length])
    encoded, length = bytearray([127]), length - 127
    while length > 127:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def status_in(block: bytes) -> int:
    """Return the gRPC status in a block of trailers whose strings are literal.

    Raises CallError where there is none.
    """
    at = block.find(_STATUS)
    if at < 0:
        raise CallError(f"the answer has no grpc-status: {block[:200]!r}")
    at += len(_STATUS)
    return int(block[at + 1 : at + 1 + block[at]])


class Connection(asyncio.Protocol):
    """One HTTP/2 connection for calls of one method; `answered` is told of each answer."""

    def __init__(
        self,
        authority: str,
        path: str,
        token: str,
        answered: Answered,
        *,
        tls: bool = False,
        encoding: bytes | None = None,
    ) -> None:
        self._first_block, self._later_block = encode_headers(
            [
                (b":method", b"POST"),
                (b":scheme", b"https" if tls else b"http"),
                (b":path", path.encode()),
                (b":authority", authority.encode()),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
                *([(b"grpc-encoding", encoding)] if encoding else ()),
                (b"authorization", b"Bearer " + token.encode()),
            ]
        )
        self._flag = b"\0" if encoding is None else b"\1"
        self._block = self._first_block
        self._answered = answered
        self._buffer = b""
        self._next_stream = 1
        self._messages: dict[int, list[bytes]] = {}
        # What flow control holds back, by stream: what is left to send, and how much the peer takes.
        self._unsent: dict[int, memoryview] = {}
        self._windows: dict[int, int] = {}
        self._cut_short: set[int] = set()
        self._window = _DEFAULT_WINDOW
        self._initial_window = _DEFAULT_WINDOW
        self._received = 0
        self.most_at_once = 2**31
        """How many calls the server allows at once on this connection, once `settled` is done."""
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the connection is closed; an exception says that it should not have been."""
        self.writable = asyncio.Event()
        """Set unless very much waits to be sent."""
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send preface and settings: no table for the answers' headers, so that a status is read as it stands."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's has no such base
        settings = _SETTING.pack(_HEADER_TABLE_SIZE, 0) + _SETTING.pack(_INITIAL_WINDOW_SIZE, _MAX_WINDOW)
        self._transport.write(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings + _SETTING.pack(_MAX_FRAME_SIZE, 2**24 - 1))
            + _frame(_WINDOW_UPDATE, 0, 0, (_MAX_WINDOW - _DEFAULT_WINDOW).to_bytes(4, "big"))
        )

    def pause_writing(self) -> None:
        """Tell whoever sends much."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Tell whoever waited."""
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.writable.set()
        if not self.lost.done():
            self.lost.set_exception(CallError(f"connection lost: {exc or 'closed by the server'}"))

    def close(self) -> None:
        """Close the connection."""
        if not self.lost.done():
            self.lost.set_result(None)
        self._transport.close()

    def begin_only(self) -> None:
        """Begin a call, and send nothing of its request."""
        self._transport.write(_frame(_HEADERS, _END_HEADERS, self._next_stream, self._block))
        self._block = self._later_block
        self._next_stream += 2

    def call(self, message: bytes, *, whole: bool = True) -> int:
        """Send a request, all or all but its last byte, and return its stream, by which the answer is known."""
        stream = self._next_stream
        self._next_stream += 2
        headers = _frame(_HEADERS, _END_HEADERS, stream, self._block)
        self._block = self._later_block
        data = self._flag + len(message).to_bytes(4, "big") + message
        if not whole:
            data = data[:-1]
            self._cut_short.add(stream)
        if not self._unsent and len(data) <= min(self._window, self._initial_window, _FRAME_BYTES):
            self._window -= len(data)
            self._transport.write(headers + _frame(_DATA, self._last(stream), stream, data))
        else:
            self._transport.write(headers)
            self._unsent[stream] = memoryview(data)
            self._windows[stream] = self._initial_window
            self._send_unsent()
        return stream

    def end(self, stream: int) -> None:
        """End a call, and be told of no answer."""
        self._forget(stream)
        self._transport.write(_frame(_RST_STREAM, 0, stream, _CANCEL))

    def _last(self, stream: int) -> int:
        """Return the flag of the last frame that is sent of a request."""
        return 0 if stream in self._cut_short else _END_STREAM

    def _send_unsent(self) -> None:
        parts: list[bytes] = []
        for stream, rest in list(self._unsent.items()):
            while rest and (size := min(len(rest), self._window, self._windows[stream], _FRAME_BYTES)) > 0:
                chunk, rest = rest[:size], rest[size:]
                self._window -= size
                self._windows[stream] -= size
                parts.append(_frame(_DATA, 0 if rest else self._last(stream), stream, bytes(chunk)))
            if rest:
                self._unsent[stream] = rest
            else:
                del self._unsent[stream], self._windows[stream]
        if parts:
            self._transport.write(b"".join(parts))

    def data_received(self, data: bytes) -> None:
        """Take in whatever frames are complete."""
        if self._buffer:
            data = self._buffer + data
        at, end = 0, len(data)
        while end - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            after = at + 9 + (high << 8 | low)
            if after > end:
                break
            self._take(kind, flags, stream, data[at + 9 : after])
            at = after
        self._buffer = data[at:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._messages.setdefault(stream, []).append(payload)
            self._received += len(payload)
            if self._received > _MAX_WINDOW // 2:
                self._transport.write(_frame(_WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big")))
                self._received = 0
        elif kind == _HEADERS:
            if flags & _END_STREAM:
                self._finish(stream, payload)
        elif kind == _WINDOW_UPDATE:
            self._grant(stream, int.from_bytes(payload, "big"))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not flags & _ACK:
            self._settle(payload)
        elif kind == _RST_STREAM:
            # An answer that came before its request was whole ends so, with code 0 (RFC 9113 section 8.1).
            if any(payload):
                self._messages.pop(stream, None)
                self._forget(stream)
                self._answered(self, stream, UNAVAILABLE, b"reset by the server")
        elif kind == _GOAWAY:
            self._fail(f"the server sent frame {kind} on stream {stream}: {payload!r}")

    def _finish(self, stream: int, block: bytes) -> None:
        message = b"".join(self._messages.pop(stream, ()))
        self._forget(stream)
        status = status_in(block)
        # Five bytes say whether the message is compressed, which was not asked for, and how long it is.
        self._answered(self, stream, status, message[5:] if status == OK else block[:1_000])

    def _forget(self, stream: int) -> None:
        """Send no more of a request that is answered."""
        self._cut_short.discard(stream)
        self._unsent.pop(stream, None)
        self._windows.pop(stream, None)

    def _grant(self, stream: int, credit: int) -> None:
        if stream == 0:
            self._window += credit
        elif stream in self._windows:
            self._windows[stream] += credit
        if self._unsent:
            self._send_unsent()

    def _settle(self, payload: bytes) -> None:
        for setting, value in _SETTING.iter_unpack(payload):
            if setting == _MAX_CONCURRENT_STREAMS:
                self.most_at_once = value
            elif setting == _INITIAL_WINDOW_SIZE:
                for stream in self._windows:
                    self._windows[stream] += value - self._initial_window
                self._initial_window = value
        self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        self._send_unsent()
        if not self.settled.done():
            self.settled.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_exception(CallError(why))
        self._transport.close()
