"""The client for asyncio does what the synchronous one does."""

import asyncio
import inspect

import grpc
import pytest

from auditd_client import (
    AsyncClient,
    Client,
    Event,
    HistoryRewrittenError,
    InvalidRequestError,
    Settings,
    UnreachableError,
)


def events(count):
    return [Event(id=f"e-{number}", action="a") for number in range(count)]


def test_has_the_methods_of_the_synchronous_client():
    def shape(kind):
        return {
            name: [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert shape(AsyncClient) == shape(Client)


async def test_appends_in_order_and_in_batches(double, connect_async):
    result = await connect_async().append(events(2_345))
    assert [len(request.events) for request in double.sent("Append")] == [1_000, 1_000, 345]
    assert [receipt.leaf_hash for receipt in result.receipts] == double.tree.hashes


async def test_reads_and_proves(double, connect_async):
    client = connect_async()
    receipt = await client.record("user.login", reason="x")
    await client.append(events(24))
    assert (await client.get(receipt.index)).leaf == double.leaves[0]
    assert [entry.index async for entry in client.query(order="asc", page_size=10, limit=22)] == list(range(22))
    assert (await client.prove(3)).leaf == double.leaves[3]
    assert (await client.prove_consistency(4)).to_size == 25
    assert (await client.checkpoint()).checkpoint == double.tree.note()
    assert (await client.logs())[0].name == "main"


async def test_retries_after_the_pause_that_the_server_asks_for(double, connect_async, service, pauses):
    busy = [service.retry_info(0.5)]
    double.fail(service.Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason="QUEUE_FULL", details=busy))
    await connect_async().append({"action": "a"})
    assert pauses == [pytest.approx(0.6)]


async def test_maps_errors(double, connect_async, service):
    double.fail(service.Failure(grpc.StatusCode.INVALID_ARGUMENT, "events[0].time: missing", "INVALID_EVENT"))
    with pytest.raises(InvalidRequestError) as caught:
        await connect_async().append({"action": "a"})
    assert caught.value.reason == "INVALID_EVENT"
    assert "token-1" not in repr(caught.value.__cause__)


async def test_awaits_a_token(double, connect_async):
    async def token():
        await asyncio.sleep(0)
        return "fresh"

    await connect_async(token=token).logs()
    await connect_async(token=lambda: "plain").logs()
    assert [call.metadata["authorization"] for call in double.calls] == ["Bearer fresh", "Bearer plain"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_streams_in_the_order_of_the_events(double, connect_async, asynchronous):
    async def source():
        for event in events(5_500):
            yield event

    stream = connect_async().append_stream(source() if asynchronous else events(5_500), return_leaves=True)
    leaves = [receipt.leaf async for receipt in stream]
    assert [b'"id":"e-%d"' % number in leaf for number, leaf in enumerate(leaves)] == [True] * 5_500


async def test_hands_over_what_is_gathered_when_the_source_says_that_it_pauses(double, connect_async):
    receipts = []

    async def source():
        yield events(1)[0]
        yield None
        assert len(receipts) == 1
        yield {"action": "later"}

    async for receipt in connect_async().append_stream(source()):
        receipts += [receipt]
    assert [receipt.index for receipt in receipts] == [0, 1]


async def test_a_stream_left_early_leaves_no_task_behind(double, connect_async):
    stream = connect_async().append_stream(events(5_000), max_in_flight=2)
    async for _ in stream:
        break
    await stream.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_notices_a_rewritten_history(double, connect_async):
    client = connect_async(key=double.tree.vkey)
    await client.append(events(3))
    double.reset()
    await connect_async().append(events(5))
    with pytest.raises(HistoryRewrittenError):
        await client.append({"action": "a"})


async def test_a_cancelled_call_gives_its_checkpoint_back(double, connect_async):
    client = connect_async(key=double.tree.vkey)
    await client.append(events(1))
    pending = asyncio.get_running_loop().create_future()
    client._stub.Append = lambda *_, **__: pending
    call = asyncio.create_task(client.append(events(2)))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert set(client._histories["main"]._ends.values()) == {0}


async def test_connects_with_the_first_call_and_closes_without_one(address):
    async with AsyncClient.from_settings(Settings("127.0.0.1:1")) as client:
        with pytest.raises(UnreachableError):
            await client.logs(timeout_s=0.05)
    await AsyncClient(address).close()
