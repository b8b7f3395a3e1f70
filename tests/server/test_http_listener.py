"""The HTTP listener lets nobody hold it up: what comes slowly, or is not taken, is dropped in time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from auditd.server._http import MAX_CONNECTIONS, Answer, HttpListener

LARGE = b"x" * (64 << 20)


@pytest.fixture
async def listener():
    async def small() -> Answer:
        return Answer(200, b"small\n")

    async def large() -> Answer:
        return Answer(200, LARGE)

    made = HttpListener({"/small": small, "/large": large}, request_s=0.3)
    host, _, port = (await made.open("127.0.0.1:0")).rpartition(":")
    yield made, host, int(port)
    await made.close()


async def test_a_request_that_comes_byte_by_byte_is_dropped(listener):
    _, host, port = listener
    reader, writer = await asyncio.open_connection(host, port)

    async def drip() -> None:
        for byte in b"GET /small HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.close()


async def test_an_idle_connection_is_dropped_and_makes_room(listener):
    made, host, port = listener
    idle = [await asyncio.open_connection(host, port) for _ in range(MAX_CONNECTIONS)]
    async with asyncio.timeout(20):
        for reader, writer in idle:
            assert await reader.read() == b""
            writer.close()
        while made._connections:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /small HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"small\n")
        writer.close()


async def test_an_answer_that_nobody_takes_is_dropped(listener):
    made, host, port = listener
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(20):
        await reader.readexactly(1)
        while made._connections:
            await asyncio.sleep(0.01)
    writer.transport.abort()
