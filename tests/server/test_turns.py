"""Whose turn it is: calls of one caller, large requests of several, and those that are slow to come in."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from auditd.errors import ExhaustedError
from auditd.server._arriving import Arriving
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


class Slow:
    """Requests that are slow to come in, and what becomes of them: each is read until it comes, or is refused."""

    def __init__(self, most: int) -> None:
        self.limits = LimitSettings(max_slow_requests=most)
        self.now = 0.0
        self.arriving = Arriving(self.limits, lambda: self.now)
        self.refused: dict[str, ExhaustedError] = {}
        self.calls: dict[str, asyncio.Future[object]] = {}
        self._paces: dict[str, Pace] = {}

    def begin(self, *names: str) -> None:
        """Begin to read requests; the first letter of each name is its caller."""
        for name in names:
            comes = self.calls[name] = asyncio.get_running_loop().create_future()
            pace = self._paces.setdefault(name[0], Pace(self.limits))
            task = asyncio.ensure_future(self.arriving.read(pace, lambda comes=comes: comes, self._refusing(name)))
            task.add_done_callback(lambda _: None)

    def _refusing(self, name):
        async def refuse(error: ExhaustedError) -> None:
            self.refused[name] = error
            self.calls[name].set_result(None)

        return refuse

    async def looked_at_twice(self) -> set[str]:
        """Let two looks pass, and return which were refused so far."""
        for _ in range(2):
            await settle()
            self.arriving.look()
        await settle()
        return set(self.refused)


async def test_a_request_that_is_there_at_once_is_never_refused():
    slow = Slow(1)
    slow.begin("a1")
    await slow.looked_at_twice()
    slow.begin(*(f"b{number}" for number in range(20)))
    await settle()
    slow.arriving.look()
    for number in range(20):
        slow.calls[f"b{number}"].set_result(b"")
    assert await slow.looked_at_twice() == set()


async def test_of_requests_that_are_slow_to_come_the_newest_beyond_the_limit_is_refused():
    slow = Slow(4)
    slow.begin("a1", "a2", "b1", "c1", "d1")
    assert await slow.looked_at_twice() == {"d1"}
    assert slow.refused["d1"].facts == {"limit": "max_slow_requests", "value": "4"}
    slow.calls["a1"].set_result(b"")
    slow.begin("d2")
    assert await slow.looked_at_twice() == {"d1"}


async def test_none_has_more_than_half_of_those_that_are_slow_to_come():
    slow = Slow(4)
    slow.begin("a1", "a2", "a3", "b1")
    assert await slow.looked_at_twice() == {"a3"}


async def test_one_that_has_been_on_its_way_for_long_makes_room_for_the_next():
    slow = Slow(2)
    slow.begin("a1")
    await slow.looked_at_twice()
    slow.now += 9.0
    slow.begin("b1")
    await slow.looked_at_twice()
    slow.begin("c1")
    assert await slow.looked_at_twice() == {"c1"}
    slow.now += 2.0
    slow.begin("c2")
    assert await slow.looked_at_twice() == {"c1", "a1"}


async def test_so_does_one_of_a_caller_for_the_next_one_of_the_same():
    slow = Slow(4)
    slow.begin("a1", "a2")
    await slow.looked_at_twice()
    slow.now += 11.0
    slow.begin("a3")
    assert await slow.looked_at_twice() == {"a1"}


async def test_who_wastes_calls_beyond_the_rate_has_one_less_for_each():
    now = 0.0
    pace = Pace(LimitSettings(max_wasted_calls_per_s_per_caller=1, max_calls_at_once_per_caller=1), lambda: now)
    for _ in range(6):
        pace.wasted()
        assert pace.enter()
        pace.leave()
    pace.wasted()
    assert not pace.enter()
    waiting = asyncio.ensure_future(pace.wait())
    await settle()
    assert not waiting.done()
    waiting.cancel()


async def test_who_was_refused_has_one_call_less_for_a_while():
    pace = Pace(LimitSettings(max_calls_at_once_per_caller=2))
    assert pace.enter()
    pace.rest(0.0)
    assert not pace.enter()
    waiting = asyncio.ensure_future(pace.wait())
    await settle()
    pace.leave()
    await waiting
    pace.leave()
    assert pace.enter()
