"""What hostile peers do to a server, as a process of its own: `python -m benchmarks._attacks KIND ADDRESS TOKEN,...`.

It prints a line once it has begun, and goes on until it is ended.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator

import uvloop

from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._http2 import Connection

SERVICE = "/auditd.v1.AuditLogService/"
_CONNECTIONS = 16
_AT_ONCE = 1_000  # calls a connection, as far as the server lets it
_NESTED_BYTES = 60_000
_BATCH = 64
CROWD = 64
"""Callers of those attacks that take many."""


def no_token() -> tuple[str, Iterator[bytes]]:
    """Call without a good token."""
    return "Get", _for_ever(pb.GetRequest().SerializeToString)


def flood() -> tuple[str, Iterator[bytes]]:
    """Append single events, as fast as they are taken."""
    return "Append", _for_ever(lambda: _batch(1, "{}"))


def queries() -> tuple[str, Iterator[bytes]]:
    """Search for what no index narrows."""
    return "Query", _for_ever(
        pb.QueryRequest(filter=f'attributes.x = "{random.random()}"', no_index=True).SerializeToString
    )


def nested() -> tuple[str, Iterator[bytes]]:
    """Append batches of 4 MiB, whose attributes are as deeply nested, and as hard to read, as is allowed."""
    text = _nested(_NESTED_BYTES)
    return "Append", _for_ever(lambda: _batch(_BATCH, text))


def mistaken() -> tuple[str, Iterator[bytes]]:
    """The same, but for a name in the last event that stands twice in one object."""
    text = _nested(_NESTED_BYTES)
    return "Append", _for_ever(lambda: _batch(_BATCH - 1, text) + _batch(1, text[:-1] + ',"n0":0}'))


def crowd() -> tuple[str, Iterator[bytes]]:
    """Append batches of 4 MiB that are good, as very many callers."""
    text = '{"text":"' + "x" * _NESTED_BYTES
    return "Append", _for_ever(lambda: _batch(_BATCH, text[: _NESTED_BYTES - 2] + '"}'))


def unfinished() -> tuple[str, Iterator[bytes]]:
    """The same, but for the last byte of each, which never comes."""
    return crowd()


def parts() -> tuple[str, Iterator[bytes]]:
    """Append events that consist of as many parts as go into 4 MiB, which is far too many."""
    event = b"\x42\0" * (2 * 1024 * 1024 - 4)
    return "Append", _for_ever(lambda: b"\x12" + _varint(len(event)) + event)


def compressed() -> tuple[str, Iterator[bytes]]:
    """Append what is small compressed and large when it is not."""
    bomb = gzip.compress(bytes(256 * 1024 * 1024), 9)
    return "Append", _for_ever(lambda: bomb)


def slow() -> tuple[str, Iterator[bytes]]:
    """Begin calls, and never send what they ask for."""
    return "Append", _for_ever(bytes)


ATTACKS: dict[str, Callable[[], tuple[str, Iterator[bytes]]]] = {
    attack.__name__: attack
    for attack in (no_token, flood, queries, nested, mistaken, parts, compressed, slow, crowd, unfinished)
}


def _for_ever(make: Callable[[], bytes]) -> Iterator[bytes]:
    while True:
        yield make()


def _batch(count: int, attributes_json: str) -> bytes:
    request = pb.AppendRequest()
    for _ in range(count):
        event = request.events.add(id=str(uuid.uuid4()), action="user.login", attributes_json=attributes_json)
        event.time.FromNanoseconds(time.time_ns() // 1_000 * 1_000)
    return request.SerializeToString()


def _nested(size: int) -> str:
    """Return an object of at most `size` bytes whose values are nested to the depth that is allowed."""
    deep = '{"k\\u0061":[' * 7 + "1.10" + "]}" * 7
    members: list[str] = []
    while (size := size - len(deep) - len(f'"n{len(members)}":,')) > 2:
        members.append(f'"n{len(members)}":{deep}')
    return "{" + ",".join(members) + "}"


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


class _Attacker:
    def __init__(self, kind: str, address: str, token: str) -> None:
        self._kind = kind
        self._method, self._requests = ATTACKS[kind]()
        self._address = address
        self._tokens = token.split(",")
        self.answered = 0

    async def run(self) -> None:
        count = max(_CONNECTIONS, len(self._tokens))
        await asyncio.gather(*(self._attack(self._tokens[number % len(self._tokens)]) for number in range(count)))

    async def _attack(self, token: str) -> None:
        host, _, port = self._address.rpartition(":")
        while True:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(
                    self._address,
                    SERVICE + self._method,
                    token,
                    self._again,
                    compressed=self._kind == "compressed",
                ),
                host,
                int(port),
            )
            await connection.settled
            for _ in range(min(_AT_ONCE, connection.most_at_once)):
                self._call(connection)
                await asyncio.sleep(0)
            await asyncio.wait([connection.lost])
            connection.lost.exception()

    def _call(self, connection: Connection) -> None:
        if connection.lost.done():
            return
        if self._kind == "slow":
            connection.begin_only()
        else:
            connection.call(next(self._requests), whole=self._kind != "unfinished")

    def _again(self, connection: Connection, _stream: int, _status: int, _message: bytes) -> None:
        self.answered += 1
        self._call(connection)


async def _main(kind: str, address: str, token: str) -> None:
    attacker = _Attacker(kind, address, token)
    running = asyncio.ensure_future(attacker.run())
    print("begun", flush=True)
    while not running.done():
        await asyncio.sleep(1.0)
        print(attacker.answered, flush=True)
    running.result()


def forged(token: str) -> str:
    """Return a token that looks as if it were good, until its signature is verified."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{base64.urlsafe_b64encode(random.randbytes(len(signature) * 3 // 4)).decode().rstrip('=')}"


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:4]))
