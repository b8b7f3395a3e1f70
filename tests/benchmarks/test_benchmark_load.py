"""The load generator's own HTTP/2 against the stock gRPC server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from benchmarks._http2 import CallError, encode_headers, status_in
from benchmarks._load import Load, Method, run_load

TOKEN = "t" * 300


class Echo(grpc.GenericRpcHandler):
    """Answers with what it got; to `refuse` with an error, and to `busy` only the second time."""

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()

    def service(self, details):
        def answer(request, context):
            self.seen[request] += 1
            if dict(context.invocation_metadata())["authorization"] != f"Bearer {TOKEN}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
            if request == b"refuse":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "as you wish")
            if request == b"busy" and self.seen[request] == 1:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
            return request

        return grpc.unary_unary_rpc_method_handler(answer) if details.method == "/echo.Echo/Echo" else None


@pytest.fixture(scope="module")
def echo() -> Iterator[tuple[Echo, Method]]:
    handler = Echo()
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads, [handler], options=[("grpc.max_receive_message_length", -1)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield handler, Method(f"127.0.0.1:{port}", "/echo.Echo/Echo", TOKEN)
        server.stop(None).wait()


@pytest.mark.parametrize("callers", [1, 3, 20])
def test_every_request_is_answered_once(echo, callers):
    requests = [f"{callers}/{number}".encode() for number in range(100)]
    load = run_load(echo[1], requests, callers, 30.0)
    assert sorted(load.answers) == sorted(requests)
    assert len(load.waits_s) == 100
    assert [echo[0].seen[request] for request in requests] == [1] * 100


def test_messages_larger_than_any_window_arrive_whole(echo):
    requests = [bytes([number]) * (500_000 + number) for number in range(1, 6)]
    load = run_load(echo[1], requests, 3, 30.0)
    assert sorted(load.answers) == requests


def test_an_empty_answer_is_an_answer(echo):
    assert run_load(echo[1], [b"", b""], 2, 30.0).answers == [b"", b""]


def test_nothing_is_sent_once_the_time_is_over(echo):
    assert run_load(echo[1], [b"late"], 1, -1.0).answers == []
    assert echo[0].seen[b"late"] == 0


def test_a_refused_call_ends_the_load_with_its_reason(echo):
    with pytest.raises(CallError, match=r"status 3.*as you wish"):
        run_load(echo[1], [b"a", b"refuse", b"b"], 1, 30.0)


def test_a_call_that_is_pushed_back_is_made_again(echo):
    load = run_load(echo[1], [b"busy"], 1, 30.0)
    assert load.answers == [b"busy"]
    assert load.pushed_back == 1


def test_an_unknown_method_is_an_error(echo):
    method = Method(echo[1].address, "/echo.Echo/Nothing", TOKEN)
    with pytest.raises(CallError, match="status 12"):
        run_load(method, [b"x"], 1, 30.0)


def test_rates_and_shares_of_waits():
    load = Load(1, elapsed_s=2.0, answers=[b""] * 100, waits_s=[number / 1_000 for number in range(100)])
    assert load.calls_per_s == 50
    assert (load.wait_ms(0.0), load.wait_ms(0.5), load.wait_ms(0.99), load.wait_ms(1.0)) == (0, 50, 99, 99)


def test_later_headers_refer_to_the_first_ones():
    first, later = encode_headers([(b"a", b"1"), (b"b", b"2" * 200)])
    assert first == b"\x40\x01a\x011" + b"\x40\x01b" + b"\x7f\x49" + b"2" * 200
    assert later == bytes([0x80 | 63, 0x80 | 62])


@pytest.mark.parametrize(
    ("block", "status"),
    [
        pytest.param(b"\x00\x0bgrpc-status\x010", 0, id="ok"),
        pytest.param(b"\x88\x00\x0bgrpc-status\x0213\x00\x0cgrpc-message\x01x", 13, id="two digits"),
    ],
)
def test_status_is_read_from_trailers(block, status):
    assert status_in(block) == status


def test_trailers_without_status_are_an_error():
    with pytest.raises(CallError, match="no grpc-status"):
        status_in(b"\x88")
