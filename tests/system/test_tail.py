"""A tail of a real server: no gap, no repeat, seen in `access`, and never a burden to those who append."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pty
import select
import signal
import subprocess
import threading
import time
import uuid

import grpc
import pytest

from auditd.identity import LocalIssuer
from auditd_client import AdminClient, AsyncClient, Client, PreconditionError, UnauthenticatedError
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1 import event_pb2
from tests.system.conftest import AUDITLOG, ORIGIN, Server, after

FIRST_S = 20.0
SLACK_S = 5.0
"""What a busy machine may take for itself."""


def event(action: str = "user.login", **members: object) -> event_pb2.Event:
    made = event_pb2.Event(id=str(uuid.uuid4()), action=action, **members)
    made.time.FromNanoseconds(time.time_ns() // 1_000 * 1_000)
    return made


class Caller:
    """A stub with a token."""

    def __init__(self, server, *roles: str, subject: str = "svc-test") -> None:
        self._stub = server.stub()
        self._metadata = (("authorization", f"Bearer {server.token(*roles, subject=subject)}"),)

    def append(self, count: int = 1, action: str = "user.login", **members: object) -> int:
        """Record events in one batch; return the index of the first."""
        events = [event(action, **members) for _ in range(count)]
        return self.Append(pb.AppendRequest(events=events)).receipts[0].index

    def size(self, log: str = "main") -> int:
        note = self.GetCheckpoint(pb.GetCheckpointRequest(log=log)).checkpoint
        return int(note.split("\n")[1])

    def tail(self, **members: object):
        return self._stub.Tail(pb.TailRequest(**members), metadata=self._metadata, timeout=60)

    def __getattr__(self, method: str):
        return lambda request: getattr(self._stub, method)(request, metadata=self._metadata, timeout=30)


@pytest.fixture(scope="module")
def admin(shared_server):
    caller = Caller(shared_server, "admin")
    caller.append(300)
    return caller


def refused(call) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    return caught.value


def until(stream, wanted: int) -> list[pb.TailResponse]:
    """Read messages until they hold the entries wanted."""
    messages = []
    while sum(len(message.entries) for message in messages) < wanted:
        messages.append(next(stream))
    return messages


def test_sends_what_is_there_and_then_what_comes_each_once(admin):
    size = admin.size()
    stream = admin.tail(from_index=0)
    before = until(stream, size)
    added = [admin.append(3) for _ in range(5)]
    messages = before + until(stream, 15)
    stream.cancel()
    assert [entry.index for message in messages for entry in message.entries] == list(range(size + 15))
    assert added[0] == size
    for message, follower in itertools.pairwise(messages):
        assert follower.first_index == message.next_index
    leaf = admin.Get(pb.GetRequest(index=7)).entry.leaf
    assert next(entry.leaf for message in messages for entry in message.entries if entry.index == 7) == leaf


def test_begins_at_once_and_with_what_is_recorded_from_now_on(admin):
    stream = admin.tail()
    first = next(stream)
    assert (first.first_index, first.next_index, list(first.entries)) == (admin.size(), admin.size(), [])
    index = admin.append()
    (message,) = until(stream, 1)
    stream.cancel()
    assert [entry.index for entry in message.entries] == [index]


def test_sends_what_the_filter_selects_and_heartbeats_carry_the_position(admin):
    stream = admin.tail(filter='action = "needle"', heartbeat_s=1)
    next(stream)
    admin.append(10)
    needle = admin.append(action="needle")
    admin.append(10)
    (found,) = until(stream, 1)
    assert [entry.index for entry in found.entries] == [needle]
    heartbeat = next(stream)
    stream.cancel()
    assert (list(heartbeat.entries), heartbeat.next_index) == ([], admin.size())
    assert heartbeat.checkpoint.split("\n")[1] == str(admin.size())


def test_a_filter_that_selects_nothing_moves_on_while_it_catches_up(admin):
    stream = admin.tail(from_index=0, filter='"nowhere to be found"', heartbeat_s=1)
    assert next(stream).next_index == 0
    assert next(stream).next_index == admin.size()
    stream.cancel()


@pytest.mark.parametrize(
    ("members", "code", "reason", "said"),
    [
        ({"from_index": 10**6}, "FAILED_PRECONDITION", "BEYOND_HEAD", "from_index: 1000000"),
        ({"from_index": 2**63}, "INVALID_ARGUMENT", "OUT_OF_RANGE", "from_index"),
        ({"known_size": 10**6}, "FAILED_PRECONDITION", "LOG_BEHIND_CALLER", "has seen 1000000"),
        ({"known_size": 2**64 - 1}, "INVALID_ARGUMENT", "OUT_OF_RANGE", "known_size"),
        ({"heartbeat_s": -1}, "INVALID_ARGUMENT", "INVALID_REQUEST", "heartbeat_s"),
        ({"heartbeat_s": 61}, "INVALID_ARGUMENT", "INVALID_REQUEST", "heartbeat_s"),
        ({"filter": "actor.idd = x"}, "INVALID_ARGUMENT", "INVALID_FILTER", "actor.id"),
        ({"filter": "x" * 10_001}, "INVALID_ARGUMENT", "INVALID_FILTER", "10000"),
        ({"filter": "(" * 1_000}, "INVALID_ARGUMENT", "INVALID_FILTER", "parentheses"),
        ({"log": "nowhere"}, "NOT_FOUND", "LOG_NOT_FOUND", "nowhere"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refuses_a_tail_that_cannot_be(admin, members, code, reason, said):
    error = refused(admin.tail(**members))
    assert (error.code().name, reason.encode() in dict(error.trailing_metadata())["grpc-status-details-bin"]) == (
        code,
        True,
    )
    assert said in error.details()


def test_refuses_whoever_may_not_read(shared_server, admin):
    assert refused(Caller(shared_server, "writer").tail()).code() == grpc.StatusCode.PERMISSION_DENIED
    assert refused(Caller(shared_server, "reader").tail(log="access")).code() == grpc.StatusCode.PERMISSION_DENIED
    assert refused(shared_server.stub().Tail(pb.TailRequest())).code() == grpc.StatusCode.UNAUTHENTICATED
    assert refused(shared_server.stub().Tail(pb.TailRequest())).code() == grpc.StatusCode.UNAUTHENTICATED


def test_malformed_bytes_get_a_proper_answer(shared_server, admin):
    method = shared_server.channel().unary_stream("/auditd.v1.AuditLogService/Tail")
    error = refused(method(b"\xff\xff", metadata=admin._metadata, timeout=10))
    assert (error.code(), "TailRequest" in error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def test_reading_is_seen_and_a_tail_of_access_does_not_feed_itself(make_server):
    """The start is an entry before the first row leaves, the counts follow; those, shown, are counted no more."""
    server = make_server()
    admin = Caller(server, "admin")
    admin.append(7)
    own = Caller(server, "auditor", subject="watcher").tail(log="access", filter="caller.sub = watcher", heartbeat_s=1)
    assert [message.next_index for message in (next(own),)] == [1]
    stream = Caller(server, "reader", subject="reader").tail(from_index=2, filter="action = user.login")
    next(stream)
    select_reader = pb.QueryRequest(log="access", filter="caller.sub = reader", order=pb.ORDER_OLDEST_FIRST)
    first = [json.loads(entry.leaf)["event"] for entry in admin.Query(select_reader).entries]
    assert [event["attributes"] for event in first] == [{"filter": "action = user.login", "from_index": 2}]
    until(stream, 5)
    shown = [json.loads(entry.leaf)["event"]["attributes"] for message in until(own, 2) for entry in message.entries]
    assert shown == [
        {"filter": "caller.sub = watcher", "from_index": 1},
        {"filter": "caller.sub = watcher", "count": 1, "lowest_index": 1, "highest_index": 1},
    ]
    quiet = [next(own) for _ in range(7)]
    assert all(not message.entries for message in quiet), "seven seconds without a count of the count"
    counted = [json.loads(entry.leaf)["event"] for entry in admin.Query(select_reader).entries][1:]
    assert [(event["action"], event["attributes"]) for event in counted] == [
        ("log.tail", {"filter": "action = user.login", "count": 5, "lowest_index": 2, "highest_index": 6})
    ]
    for each in (own, stream):
        each.cancel()


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A server with an issuer whose tokens may end at once, and room for few tails; gives server and token maker."""
    folder = tmp_path_factory.mktemp("strict") / "server"
    server = Server.make(folder)
    issuer = LocalIssuer.create("https://brief.example.com")
    (folder / "brief.jwks").write_bytes(issuer.jwks())
    with (folder / "auditd.toml").open("a") as config:
        config.write('\n[[issuers]]\nissuer = "https://brief.example.com"\njwks_file = "brief.jwks"\nleeway_s = 0\n')
        config.write("[limits]\nmax_tails = 3\nmax_tails_per_caller = 2\n")
    server.start()

    def token(ttl_s: int = 2) -> str:
        return issuer.issue("brief", ["reader"], ttl_s, ORIGIN, time.time())

    yield server, token
    server.stop()


def test_ends_when_the_token_expires(strict):
    server, token = strict
    metadata = (("authorization", f"Bearer {token()}"),)
    stream = server.stub().Tail(pb.TailRequest(heartbeat_s=1), metadata=metadata)
    next(stream)
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        for _ in stream:
            pass
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "exp" in caught.value.details()
    assert time.monotonic() - started < 2 + 5 + SLACK_S


def test_ends_when_the_token_is_revoked(shared_server, admin):
    reader = Caller(shared_server, "reader", subject="dismissed")
    stream = reader.tail(heartbeat_s=1)
    next(stream)
    with AdminClient(shared_server.address, shared_server.token("admin")) as client:
        client.revoke(f"https://{ORIGIN}/local", subject="dismissed", reason="left")
    revoked_at = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        for _ in stream:
            pass
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert time.monotonic() - revoked_at < 5 + SLACK_S


def test_tails_are_limited_a_caller_and_in_all(strict):
    server, _ = strict
    one, other = Caller(server, "reader", subject="one"), Caller(server, "reader", subject="other")
    open_tails = [one.tail(), one.tail()]
    for stream in open_tails:
        next(stream)
    error = refused(one.tail())
    assert (error.code(), "max_tails_per_caller is 2" in error.details()) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        True,
    )
    open_tails.append(other.tail())
    next(open_tails[-1])
    assert "max_tails is 3" in refused(other.tail()).details()
    open_tails.pop().cancel()
    admitted = None
    while admitted is None:  # the server hears of a cancelled stream a moment later
        admitted = begun(other.tail())
    for stream in (*open_tails, admitted):
        stream.cancel()


def begun(stream):
    """Return the stream if it was admitted, None if there was no room."""
    try:
        next(stream)
    except grpc.RpcError:
        return stream if stream.code() != grpc.StatusCode.RESOURCE_EXHAUSTED else None
    return stream


def test_readers_that_do_not_read_hold_nobody_back_and_miss_nothing(make_server):
    server = make_server()
    admin = Caller(server, "admin")
    admin.append()
    streams = [Caller(server, "reader").tail(from_index=0) for _ in range(10)]
    for stream in streams:
        next(stream)
    before_kb = server.memory_kb()
    text = json.dumps({"text": "x" * 20_000})
    for _ in range(30):
        admin.append(40, attributes_json=text)
    size = admin.size()
    assert size == 1_201
    assert server.memory_kb() - before_kb < 150_000, "ten times 24 MB of leaves are not held for them"
    for stream in streams[::5]:
        indexes = [entry.index for message in until(stream, size) for entry in message.entries]
        assert indexes == list(range(size))
    for stream in streams:
        stream.cancel()


class TestClients:
    def test_resumes_across_a_kill_without_gap_or_repeat_and_verifies(self, make_server):
        server = make_server()
        port = server.address.rpartition(":")[2]
        server.stop()
        server.start_on(port)
        token = server.token("admin")
        with Client(server.address, token, key=server.vkey) as client:
            client.append([{"action": "before"} for _ in range(20)])
            tail = client.tail(from_index=0)
            seen = [next(tail).index for _ in range(10)]
            server.kill()
            server.start_on(port)
            client.append([{"action": "after"} for _ in range(20)])
            seen += [next(tail).index for _ in range(30)]
            assert seen == list(range(40))
            assert tail.next_index == 40
            assert client.newest_checkpoint() == tail.checkpoint
            server.stop()
            server.start_on(port)
            client.append({"action": "again"})
            assert next(tail).index == 40
            tail.close()
            assert list(tail) == []

    async def test_the_asynchronous_one_does_so_too(self, make_server):
        server = make_server()
        port = server.address.rpartition(":")[2]
        server.stop()
        server.start_on(port)
        async with AsyncClient(server.address, server.token("admin"), key=server.vkey) as client:
            await client.append([{"action": "before"} for _ in range(20)])
            tail = client.tail('action = "after" OR action = "before"', from_index=0)
            seen = [(await anext(tail)).index for _ in range(10)]
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start_on, port)
            await client.append([{"action": "after"}, {"action": "other"}, {"action": "after"}])
            seen += [(await anext(tail)).index for _ in range(12)]
            assert seen == [*range(20), 20, 22]
            await tail.close()
            assert [entry async for entry in tail] == []

    def test_a_token_that_is_asked_for_anew_outlives_its_expiry_and_another_does_not(self, strict):
        server, token = strict
        asked = []

        def fresh() -> str:
            asked.append(token(60 if asked else 2))
            return asked[-1]

        with Client(server.address, fresh) as client, Client(server.address, token(2)) as stale:
            batches = client.tail().batches()
            assert next(batches) == []
            with pytest.raises(UnauthenticatedError):
                next(stale.tail())
            while len(asked) < 2:
                assert next(batches) == []
            index = Caller(server, "writer").append()
            assert [entry.index for entry in next(filter(None, batches))] == [index]

    def test_a_start_beyond_the_head_is_refused(self, shared_server, admin):
        client = Client(shared_server.address, shared_server.token("reader"))
        with client, pytest.raises(PreconditionError) as caught:
            next(client.tail(from_index=10**9))
        assert caught.value.reason == "BEYOND_HEAD"


class TestCommand:
    @pytest.fixture
    def following(self, shared_server, admin):
        """Start `auditlog tail` with arguments; gives the process."""
        started = []

        def start(*arguments: str, server=shared_server, command=(AUDITLOG,), **options):
            environment = {key: value for key, value in os.environ.items() if not key.startswith("AUDITLOG_")}
            environment |= {"AUDITLOG_ADDRESS": server.address, "AUDITLOG_TOKEN": server.token("admin")}
            options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
            started.append(subprocess.Popen([*command, "tail", *arguments], env=environment, **options))
            return started[-1]

        yield start
        for process in started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def test_prints_leaves_verbatim_and_ends_at_ctrl_c(self, admin, following):
        process = following("--from", "0", "--output", "jsonl")
        size = admin.size()
        lines = [process.stdout.readline() for _ in range(size)]
        admin.append(action="live")
        live = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read().decode() == f"to go on from here: --from {size + 1}\n"
        assert json.loads(live)["event"]["action"] == "live"
        assert lines[5] == admin.Get(pb.GetRequest(index=5)).entry.leaf + b"\n"

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_ends_when_it_is_told_to_also_in_the_background_of_a_shell(self, admin, following, number, status):
        """A script's `&` has Ctrl-C ignored, so only other signals reach it."""
        process = following("--output", "jsonl", "--from", "0", command=after('trap "" INT'))
        size = admin.size()
        for _ in range(size):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.send_signal(number)
        assert process.wait(timeout=20) == status
        assert process.stderr.read().decode() == f"to go on from here: --from {size}\n"

    def test_survives_a_restart_and_says_so(self, make_server, following):
        server = make_server()
        port = server.address.rpartition(":")[2]
        server.stop()
        server.start_on(port)
        Caller(server, "admin").append(action="before")
        process = following("--from", "0", "--output", "jsonl", server=server)
        assert b'"before"' in process.stdout.readline()
        server.kill()
        assert process.stderr.readline() == b"auditlog: the server is away; waiting for it\n"
        server.start_on(port)
        Caller(server, "admin").append(action="after")
        assert b'"after"' in process.stdout.readline()
        assert process.stderr.readline() == b"auditlog: the server is back; nothing was missed up to 1\n"

    def test_a_terminal_gets_colours_and_no_hostile_text(self, admin, following):
        mine, theirs = pty.openpty()
        process = following(stdout=theirs, stderr=subprocess.DEVNULL)
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + FIRST_S
        while b"evil" not in shown and time.monotonic() < deadline:
            # The first of them may come before the tail has begun.
            admin.append(action="evil", reason="\x1b[2J\u202eabc", outcome=event_pb2.DENIED)
            if select.select([mine], [], [], 0.3)[0]:
                shown += os.read(mine, 65_536)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        os.close(mine)
        assert b"\x1b[31mDENIED" in shown
        assert b"\\u001b[2J\\u202eabc" in shown
        assert b"\x1b[2J" not in shown

    @pytest.mark.parametrize(
        ("arguments", "status", "said"),
        [
            (["--from", "yesterday"], 2, "neither an index nor"),
            (["--from", "99999999"], 2, "BEYOND_HEAD"),
            (["actor.idd=x"], 2, "actor.id"),
        ],
        ids=lambda value: str(value),
    )
    def test_refuses_what_cannot_be(self, shared_server, admin, arguments, status, said):
        done = shared_server.cli("tail", *arguments)
        assert (done.returncode, said in done.stderr) == (status, True), done.stderr


def test_appends_go_on_beside_many_tails(shared_server, admin):
    """A hundred tails, some of which never read, and appends from others: each is answered, each tail gets all."""
    callers = [Caller(shared_server, "reader", subject=f"reader-{number}") for number in range(10)]
    streams = [caller.tail(filter="action = tick") for caller in callers for _ in range(10)]
    for stream in streams:
        next(stream)
    threads = [threading.Thread(target=admin.append, kwargs={"action": "tick"}) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stream in streams[::7]:
        indexes = [entry.index for message in until(stream, 20) for entry in message.entries]
        assert indexes == sorted(set(indexes))
    for stream in streams:
        stream.cancel()
