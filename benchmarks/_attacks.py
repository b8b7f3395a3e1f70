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
from dataclasses import dataclass, replace
from enum import Enum, auto

import uvloop

from auditd_proto.v1 import audit_log_service_pb2 as pb
from benchmarks._http2 import Connection

_SERVICE = "/auditd.v1.AuditLogService/"
_HEALTH = "/grpc.health.v1.Health/Check"
_REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
_CONNECTIONS = 16
_AT_ONCE = 1_000  # calls a connection, as far as the server lets it
_ENDED_AT_ONCE = 16
_NESTED_BYTES = 60_000
_BATCH = 64
CROWD = 64
"""Callers of those attacks that take many."""


class Sends(Enum):
    """What an attacker sends of each request."""

    ALL = auto()
    ALL_BUT_THE_LAST_BYTE = auto()
    NOTHING = auto()
    ALL_AND_ENDS_THE_CALL = auto()


@dataclass(frozen=True, slots=True)
class Attack:
    """Calls of one method, as many at once as the server allows, each followed by the next."""

    method: str
    requests: Iterator[bytes]
    sends: Sends = Sends.ALL
    encoding: bytes | None = None
    """What requests are said to be compressed with; empty if that is left out."""


def no_token() -> Attack:
    """Call without a good token."""
    return Attack(_SERVICE + "Get", _for_ever(pb.GetRequest().SerializeToString))


def flood() -> Attack:
    """Append single events, as fast as they are taken."""
    return Attack(_SERVICE + "Append", _for_ever(lambda: _batch(1, "{}")))


def fickle() -> Attack:
    """The same, and end each call as soon as it is sent."""
    return replace(flood(), sends=Sends.ALL_AND_ENDS_THE_CALL)


def fickle_strangers() -> Attack:
    """The same, without a good token."""
    return replace(no_token(), sends=Sends.ALL_AND_ENDS_THE_CALL)


def fickle_probes() -> Attack:
    """Ask for health, and end each call as soon as it is sent."""
    return replace(probes(), sends=Sends.ALL_AND_ENDS_THE_CALL)


def queries() -> Attack:
    """Search for what no index narrows."""
    request = pb.QueryRequest(filter=f'attributes.x = "{random.random()}"', no_index=True)
    return Attack(_SERVICE + "Query", _for_ever(request.SerializeToString))


def nested() -> Attack:
    """Append batches of 4 MiB, whose attributes are as deeply nested, and as hard to read, as is allowed."""
    text = _nested(_NESTED_BYTES)
    return Attack(_SERVICE + "Append", _for_ever(lambda: _batch(_BATCH, text)))


def mistaken() -> Attack:
    """The same, but for a name in the last event that stands twice in one object."""
    text = _nested(_NESTED_BYTES)
    last = text[:-1] + ',"n0":0}'
    return Attack(_SERVICE + "Append", _for_ever(lambda: _batch(_BATCH - 1, text) + _batch(1, last)))


def parts() -> Attack:
    """Append events that consist of as many parts as go into 4 MiB, which is far too many."""
    event = b"\x42\0" * (2 * 1024 * 1024 - 4)
    return Attack(_SERVICE + "Append", _for_ever(lambda: b"\x12" + _varint(len(event)) + event))


def compressed() -> Attack:
    """Append what is small compressed and large when it is not."""
    bomb = gzip.compress(bytes(256 * 1024 * 1024), 9)
    return Attack(_SERVICE + "Append", _for_ever(lambda: bomb), encoding=b"gzip")


def unnamed() -> Attack:
    """Append what is compressed, without saying how."""
    return replace(flood(), encoding=b"")


def slow() -> Attack:
    """Begin calls, and never send what they ask for."""
    return replace(flood(), sends=Sends.NOTHING)


def crowd() -> Attack:
    """Append batches of 4 MiB that are good, as very many callers."""
    text = '{"text":"' + "x" * (_NESTED_BYTES - 11) + '"}'
    return Attack(_SERVICE + "Append", _for_ever(lambda: _batch(_BATCH, text)))


def unfinished() -> Attack:
    """The same, but for the last byte of each, which never comes."""
    return replace(crowd(), sends=Sends.ALL_BUT_THE_LAST_BYTE)


def health() -> Attack:
    """Ask for health, which needs no token, in requests of 4 MiB whose last byte never comes."""
    name = b"\x0a" + _varint(4_000_000) + bytes(4_000_000)
    return Attack(_HEALTH, _for_ever(lambda: name), Sends.ALL_BUT_THE_LAST_BYTE)


def probes() -> Attack:
    """Ask for health as often as it is answered."""
    return Attack(_HEALTH, _for_ever(bytes))


def reflection() -> Attack:
    """Ask what the service looks like as often as it is answered."""
    symbol = b"auditd.v1.AuditLogService"
    return Attack(_REFLECTION, _for_ever(lambda: b"\x22" + _varint(len(symbol)) + symbol))


def unknown() -> Attack:
    """Call a method that does not exist."""
    return Attack(_SERVICE + "Nothing", _for_ever(bytes))


ATTACKS: dict[str, Callable[[], Attack]] = {
    attack.__name__: attack
    for attack in (
        no_token, flood, fickle, fickle_strangers, fickle_probes, queries, nested, mistaken, parts, compressed, unnamed,
        slow, crowd, unfinished, health, probes, reflection, unknown,
    )
}  # fmt: skip


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
        self._attack = ATTACKS[kind]()
        self._address = address
        self._tokens = token.split(",")
        self.answered = 0

    async def run(self) -> None:
        count = max(_CONNECTIONS, len(self._tokens))
        await asyncio.gather(*(self._connect(self._tokens[number % len(self._tokens)]) for number in range(count)))

    async def _connect(self, token: str) -> None:
        host, _, port = self._address.rpartition(":")
        while True:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(
                    self._address,
                    self._attack.method,
                    token,
                    self._again,
                    encoding=self._attack.encoding,
                ),
                host,
                int(port),
            )
            await connection.settled
            if self._attack.sends is Sends.ALL_AND_ENDS_THE_CALL:
                await self._call_and_end(connection)
                connection.lost.exception()
                continue
            for _ in range(min(_AT_ONCE, connection.most_at_once)):
                self._call(connection)
                await asyncio.sleep(0)
            await asyncio.wait([connection.lost])
            connection.lost.exception()

    def _call(self, connection: Connection) -> None:
        if connection.lost.done():
            return
        sends = self._attack.sends
        if sends is Sends.NOTHING:
            connection.begin_only()
            return
        connection.call(next(self._attack.requests), whole=sends is not Sends.ALL_BUT_THE_LAST_BYTE)

    async def _call_and_end(self, connection: Connection) -> None:
        """Do so as fast as the connection takes it."""
        while not connection.lost.done():
            for _ in range(_ENDED_AT_ONCE):
                connection.end(connection.call(next(self._attack.requests)))
                self.answered += 1
            await connection.writable.wait()
            await asyncio.sleep(0)

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
