"""Connections for streams, which stay open for long: a connection has room for only so many calls at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from auditd_proto.v1.audit_log_service_pb2_grpc import AuditLogServiceStub

STREAMS_PER_CONNECTION = 100
"""A server allows 128 calls on a connection if nothing else is set; gRPC has those beyond it wait without a word."""


@dataclass(slots=True)
class _Connection:
    channel: Any
    streams: int = 0


class StreamConnections:
    """As many connections as streams need, apart from that of other calls. For any thread.

    - `open_channel`: returns a new channel.
    """

    def __init__(self, open_channel: Callable[[], Any]) -> None:
        self._open_channel = open_channel
        self._lock = threading.Lock()  # guards what is below it
        self._connections: list[_Connection] = []

    def begin(self, method: str, request: object, metadata: object) -> Any:  # noqa: ANN401 - grpc has no types
        """Begin a stream on a connection that has room for it."""
        with self._lock:
            roomy = (one for one in self._connections if one.streams < STREAMS_PER_CONNECTION)
            connection = next(roomy, None)
            if connection is None:
                connection = _Connection(self._open_channel())
                self._connections.append(connection)
            connection.streams += 1
        stub = AuditLogServiceStub(connection.channel)  # type: ignore[no-untyped-call]  # generated
        stream = getattr(stub, method)(request, metadata=metadata)
        ended = partial(self._ended, connection)
        if hasattr(stream, "add_done_callback"):
            stream.add_done_callback(ended)
        elif not stream.add_callback(ended):
            ended()
        return stream

    def _ended(self, connection: _Connection, *_: object) -> None:
        with self._lock:
            connection.streams -= 1

    def take_channels(self) -> list[Any]:
        """Return all channels, for them to be closed; the next stream would open another."""
        with self._lock:
            connections, self._connections = self._connections, []
        return [one.channel for one in connections]
