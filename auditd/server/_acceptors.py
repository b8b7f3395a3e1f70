"""Several gRPC servers on one port, so that whoever floods a connection delays the calls of few others.

A server of grpc.aio takes up one new call at a time: the next one when the event loop has heard of the last. What has
come meanwhile waits in a line of its own for each server. The kernel spreads connections over them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from auditd.server._config import Config, LimitSettings
from auditd.server._listening import listen_on

COUNT = 8
_FRAMING_BYTES = 4 * 1024 * 1024
# gRPC's own limit of 8 KiB is less than the largest token, and who breaks it is told neither a reason nor the rule.
_METADATA_BYTES = 2 * 1024 * 1024
_KEEPALIVE_MS = 20_000
_HANDSHAKE_MS = 20_000
_PENDING_CALLS = 1_000_000
_UNREAD_BYTES = 16 * 1024


class Acceptors:
    """Behaves as one server. Belongs to the event loop's thread."""

    def __init__(self, limits: LimitSettings) -> None:
        self.servers = [grpc.aio.server(options=_options(limits)) for _ in range(COUNT)]

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Have all of them answer these calls."""
        for server in self.servers:
            server.add_generic_rpc_handlers(handlers)

    def listen(self, config: Config, listen: str) -> list[str]:
        """Listen, as `listen_on` does, and return the addresses; raises as that does."""
        return listen_on(self.servers, config, listen)

    async def start(self) -> None:
        """Begin to answer."""
        for server in self.servers:
            await server.start()

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, and return when those under way have ended, after `grace_s` seconds at the latest."""
        await asyncio.gather(*(server.stop(grace_s) for server in self.servers))


def _options(limits: LimitSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.max_request_bytes + _FRAMING_BYTES),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.so_reuseport", 1),
        # Who has many calls at once has all others wait for them.
        ("grpc.max_concurrent_streams", limits.max_calls_per_connection),
        ("grpc.max_allowed_incoming_connections", -(-limits.max_connections // COUNT)),
        # Beyond 1,000 calls that nobody has looked at yet gRPC would cancel any of them, whoever's they are.
        ("grpc.server.max_pending_requests", _PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING_CALLS),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        # Of what is not being read, a stream holds so many bytes and no more, however fast its connection is.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _UNREAD_BYTES),
        # gRPC unpacks a message before it looks at its size, and a thousand times its size is easily had. So it has to
        # hand on what is compressed as it was sent; calls that it refuses by itself it would have come at any rate.
        ("grpc.per_message_decompression", 0),
        # Finds out about callers that are gone without a word, whose tails would stay.
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
    ]
