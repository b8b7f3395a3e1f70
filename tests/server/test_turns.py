"""Whose turn it is: calls of one caller, and large requests of several."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from auditd.errors import ExhaustedError
from auditd.server._config import LimitSettings
from auditd.server._large import LargeRequests
from auditd.server._pace import Pace

MIB = 1024 * 1024


async def settle() -> None:
    """Let everything go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_call_that_is_given_up_while_it_waits_counts_no_longer():
    pace = Pace(LimitSettings(max_calls_at_once_per_caller=1, max_queued_calls_per_caller=1))
    assert pace.enter()
    for _ in range(3):
        assert not pace.enter()
        waiting = asyncio.ensure_future(pace.wait())
        await settle()
        with pytest.raises(ExhaustedError, match="1 calls of this caller wait already"):
            await pace.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
    pace.leave()
    assert pace.enter()


async def test_a_turn_that_comes_as_it_is_given_up_goes_to_the_next():
    pace = Pace(LimitSettings(max_calls_at_once_per_caller=1))
    assert pace.enter()
    first, second = asyncio.ensure_future(pace.wait()), asyncio.ensure_future(pace.wait())
    await settle()
    pace.leave()
    first.cancel()
    await asyncio.wait([first, second])
    assert (first.cancelled(), second.result()) == (True, None)


@pytest.fixture
def large():
    requests = LargeRequests(LimitSettings(max_queued_large_requests=8, max_queued_large_bytes=32 * MIB))
    yield requests
    requests.close()


class Requests:
    """Large requests that are begun, and those whose turn it is."""

    def __init__(self, large: LargeRequests) -> None:
        self._large = large
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._over = {}

    async def begin(self, name: str, size: int = 4 * MIB) -> None:
        self._over[name] = asyncio.Event()
        self.tasks[name] = asyncio.ensure_future(self._run(name, size))
        await settle()

    async def _run(self, name: str, size: int) -> None:
        async with self._large.turn(name[0], size):
            self.begun.append(name)
            await self._over[name].wait()

    async def end(self, *names: str) -> None:
        for name in names:
            self._over[name].set()
            await self.tasks[name]
        await settle()


async def test_no_more_bytes_are_worked_on_at_once_than_12_mib(large):
    requests = Requests(large)
    for name in ("a1", "a2", "a3", "a4"):
        await requests.begin(name)
    assert requests.begun == ["a1", "a2", "a3"]
    await requests.end("a2")
    assert requests.begun == ["a1", "a2", "a3", "a4"]
    await requests.end("a1", "a3", "a4")


async def test_callers_have_their_turns_one_after_the_other_whatever_each_has_waiting(large):
    requests = Requests(large)
    for name in ("a1", "a2", "a3", "a4", "a5", "a6", "b1", "c1", "b2"):
        await requests.begin(name)
    await requests.end("a1", "a2", "a3")
    assert requests.begun == ["a1", "a2", "a3", "a4", "b1", "c1"]
    await requests.end("a4", "b1", "c1")
    assert requests.begun[6:] == ["a5", "b2", "a6"]
    await requests.end("a5", "b2", "a6")


async def test_one_caller_may_have_half_of_what_may_wait(large):
    requests = Requests(large)
    for name in ("a1", "a2", "a3", "a4", "a5", "a6", "a7"):
        await requests.begin(name)
    with pytest.raises(ExhaustedError) as caught:
        async with large.turn("a", 4 * MIB):
            pass
    assert caught.value.facts == {"limit": "max_queued_large_requests", "value": "8"}
    await requests.begin("b1")
    await requests.end("a1", "a2", "a3")
    assert "b1" in requests.begun
    await requests.end("a4", "a5", "b1", "a6", "a7")


async def test_the_bytes_of_one_caller_may_be_half_of_those_that_wait(large):
    requests = Requests(large)
    for name in ("a1", "a2"):
        await requests.begin(name, 12 * MIB)
    with pytest.raises(ExhaustedError) as caught:
        async with large.turn("a", 5 * MIB):
            pass
    assert caught.value.facts == {"limit": "max_queued_large_bytes", "value": str(32 * MIB)}
    await requests.end("a1", "a2")


async def test_a_large_request_that_is_given_up_leaves_its_place(large):
    requests = Requests(large)
    for name in ("a1", "a2", "a3", "a4", "a5", "a6", "a7"):
        await requests.begin(name)
    # One while it waits, one whose turn it is.
    for name in ("a5", "a1"):
        requests.tasks[name].cancel()
        await asyncio.wait([requests.tasks[name]])
    await settle()
    assert requests.begun[3:] == ["a4"]
    async with AsyncExitStack() as stack:
        again = asyncio.ensure_future(stack.enter_async_context(large.turn("a", MIB)))
        await settle()
        await requests.end("a2", "a3", "a4", "a6", "a7")
        await again
