"""The logs of a chain are read as one, or each for itself, and callers go on from one to the next."""

# ruff: noqa: F811 -- fixtures are imported, and then arguments

from __future__ import annotations

import json
import threading
from pathlib import Path

import grpc
import pytest

from auditd.log import open_closing
from auditd.note import VerifierKey
from auditd_client import AdminClient, Client
from auditd_client.verify import VerificationError, open_checkpoint, verify_entry
from auditd_client.verify import VerifierKey as ClientKey
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.succession import (  # noqa: F401 -- fixtures
    MAIN,
    call,
    leaves,
    listed,
    pages,
    request,
    rotated,
    succeed,
    two_entries,
    whole,
)


@pytest.fixture(scope="module")
def two_logs(rotated):
    """The rotated server, with an entry more in the newest log; the entries of both, oldest first."""
    call(rotated, "Append", request("four", "later"))
    first, second = (leaves(rotated, "--log", name) for name in ("main~1", "main~2"))
    assert (len(first), len(second)) == (3, 3)
    return rotated, first + second


@pytest.mark.parametrize("order", ["NEWEST_FIRST", "OLDEST_FIRST", "LATEST_EVENT_FIRST", "EARLIEST_EVENT_FIRST"])
def test_a_query_of_the_name_pages_through_the_whole_chain(two_logs, order):
    server, expected = two_logs
    found = []
    for page in pages(server, page_size=2, order=f"ORDER_{order}", verify_tokens=order == "NEWEST_FIRST"):
        assert page.tree_size == 6
        for entry in page.entries:
            leaf = json.loads(entry.leaf)
            assert (leaf["log"], leaf["index"]) == (entry.origin, entry.index)
            found.append(leaf)
    if "EVENT" in order:
        expected = sorted(expected, key=lambda leaf: leaf["event"]["time"])
    assert found == (expected if order.startswith(("OLDEST", "EARLIEST")) else expected[::-1])


def test_one_log_of_a_chain_is_queried_by_its_name_or_its_origin(two_logs):
    server, expected = two_logs
    assert leaves(server, "--log", "main~1") == expected[:3]
    (page,) = pages(server, origin=f"{MAIN}~2", order="ORDER_OLDEST_FIRST")
    assert [json.loads(entry.leaf) for entry in page.entries] == expected[3:]
    with pytest.raises(grpc.RpcError) as caught:
        next(pages(server, log="main~1", origin=f"{MAIN}~2"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_table_of_several_logs_says_which(two_logs):
    server, _ = two_logs
    shown = server.cli("query").stdout.splitlines()
    assert shown[0].split()[:2] == ["log", "index"]
    assert shown[-1].split()[:2] == [MAIN, "0"]
    assert server.cli("query", "--log", "main~1").stdout.split()[0] == "index"


def test_counts_are_of_the_whole_chain(two_logs):
    server, _ = two_logs
    counted = call(server, "Aggregate", pb.AggregateRequest(by=[pb.Dimension(field="action")]))
    assert (counted.count, counted.tree_size) == (6, 6)
    assert {group.values[0]: group.count for group in counted.groups} == {'"user.read"': 5, '"log.succeed"': 1}
    assert call(server, "Aggregate", pb.AggregateRequest(origin=MAIN)).count == 3


def test_an_event_is_proven_by_its_name_wherever_it_is(two_logs):
    server, _ = two_logs
    message = pb.ProveRequest()
    name = message.event_name
    name.issuer, name.subject, name.id = "https://audit.example.com/local", "svc-test", "two"
    name.time.FromSeconds(1_795_000_000)
    proven = call(server, "Prove", message)
    closed = open_checkpoint(proven.checkpoint, ClientKey.parse(server.vkey))
    verify_entry(proven.inclusion.leaf, 1, proven.inclusion.hashes, closed)
    name.id = "later"
    assert call(server, "Prove", message).inclusion.index == 2


LEARN = "`auditlog verify FILE --key OLD` of a file with that prints its `successor_key`"


@pytest.mark.parametrize(
    "command",
    [
        ("prove", "0"),
        ("prove", "0..1"),
        ("prove", "--event-name", "https://audit.example.com/local", "svc-test", "later", "2026-11-18T11:06:40Z"),
        ("prove", "--consistency", "1"),
        ("export", "--out"),
        ("tail", "--from", "0"),
    ],
    ids=" ".join,
)
def test_who_asks_with_the_key_of_the_closed_log_is_told_how_to_learn_the_new_one(two_logs, command, tmp_path):
    server, _ = two_logs
    if command[0] == "export":
        command = (*command, str(tmp_path / "entries.zip"))
    done = server.cli(*command, "--key", server.vkey)
    assert done.returncode == 1, done.stderr
    assert f"if {MAIN} was closed, {MAIN}~2 goes on for it" in done.stderr
    assert LEARN in done.stderr
    assert f"--log main~1 asks for {MAIN} itself" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_of_another_log_of_the_chain_says_so_and_what_to_do(two_logs, auditlog, tmp_path):
    server, _ = two_logs
    newest_key = listed(server)["main"]["verifier_key"]
    files = {name: tmp_path / name for name in ("main~1", "main", "control")}
    for name, file in files.items():
        file.write_text(server.cli("checkpoint", "--log", name).stdout)
    done = auditlog("verify", str(files["main"]), "--key", server.vkey)
    assert (done.returncode, LEARN in done.stderr, "--log" in done.stderr) == (1, True, False)
    done = auditlog("verify", str(files["main~1"]), "--key", newest_key, "--output", "jsonl")
    assert done.returncode == 1
    advice = f"it is of {MAIN}, which {MAIN}~2 goes on for: verify it with that log's own key"
    assert json.loads(done.stdout)["advice"] == advice
    state = ("--state", str(tmp_path / "state"), "--once")
    done = server.cli("monitor", *state, "--key", newest_key, "--known", str(files["main~1"]))
    assert (done.returncode, advice in done.stderr) == (2, True)
    done = auditlog("verify", str(files["control"]), "--key", server.vkey)
    assert (done.returncode, "goes on" in done.stderr) == (1, False)


def test_no_consistency_is_asked_for_from_a_checkpoint_of_another_log(two_logs, tmp_path):
    server, _ = two_logs
    for name in ("main~1", "control"):
        (tmp_path / name).write_text(server.cli("checkpoint", "--log", name).stdout)
    done = server.cli("prove", "--consistency", str(tmp_path / "main~1"), "-o", str(tmp_path / "proof"))
    assert (done.returncode, (tmp_path / "proof").exists()) == (2, False)
    said = f"the checkpoint given is of {MAIN}, the log asked for is {MAIN}~2; --log main~1 asks for {MAIN} itself"
    assert said in done.stderr
    done = server.cli("prove", "--consistency", str(tmp_path / "control"))
    assert (done.returncode, "; --log" in done.stderr) == (2, False)
    done = server.cli("prove", "--consistency", str(tmp_path / "main~1"), "--log", "main~1", "--key", server.vkey)
    assert done.returncode == 0, done.stderr


def test_a_range_is_proven_of_one_log(two_logs, auditlog, tmp_path):
    server, _ = two_logs
    for log in ("main~1", "main"):
        done = server.cli("prove", "0..3", "--log", log, "-o", str(tmp_path / log))
        assert done.returncode == 0, done.stderr
    keys = {log.name: log.verifier_key for log in call(server, "ListLogs", pb.ListLogsRequest()).logs}
    assert auditlog("verify", str(tmp_path / "main"), "--key", keys["main"]).returncode == 0


def test_what_was_read_of_which_log_is_recorded(two_logs):
    server, _ = two_logs
    call(server, "Get", pb.GetRequest(log="main~1", index=2))
    call(server, "Get", pb.GetRequest(log="main", index=2))
    read = [leaf["event"] for leaf in leaves(server, "--log", "access", "action = log.get")]
    told = {(event["resources"][0]["id"], event["attributes"]["origin"]) for event in read}
    assert told >= {("main~1", MAIN), ("main", f"{MAIN}~2")}


def test_a_page_token_from_before_a_rotation_goes_on_after_it(auditlog, whole):
    whole.start()
    first = next(pages(whole, page_size=1, order="ORDER_OLDEST_FIRST"))
    whole.stop()
    assert succeed(auditlog, whole).returncode == 0
    whole.start()
    rest = list(pages(whole, page_size=1, order="ORDER_OLDEST_FIRST", page_token=first.next_page_token))
    assert [json.loads(entry.leaf)["event"]["id"] for page in rest for entry in page.entries] == ["two"]


@pytest.mark.parametrize("keyed", [True, False], ids=["with the key", "without"])
def test_a_tail_goes_on_from_log_to_log_without_gap_or_repeat(auditlog, whole, keyed):
    whole.start()
    port, key = whole.address.rpartition(":")[2], listed(whole)["main"]["verifier_key"]
    with (
        Client(whole.address, whole.token("admin"), key=key if keyed else None, timeout_s=60) as client,
        client.tail(from_index=1) as tail,
    ):
        seen = [next(tail)]
        whole.stop()
        assert succeed(auditlog, whole).returncode == 0
        whole.start_on(port)
        call(whole, "Append", request("three"))
        whole.stop()
        assert succeed(auditlog, whole).returncode == 0
        whole.start_on(port)
        call(whole, "Append", request("four"))
        seen += [next(tail) for _ in range(4)]
    told = [(entry.origin, entry.index, json.loads(entry.leaf)["event"]["id"]) for entry in seen]
    assert told[0] == ("", 1, "two")
    assert [one[:2] for one in told[1:]] == [(f"{MAIN}~2", 0), (f"{MAIN}~2", 1), (f"{MAIN}~3", 0), (f"{MAIN}~3", 1)]
    assert (told[2][2], told[4][2]) == ("three", "four")


def test_a_tail_of_a_closed_log_ends_with_the_note_that_names_the_successor(rotated):
    metadata = (("authorization", f"Bearer {rotated.token('admin')}"),)
    messages = list(rotated.stub().Tail(pb.TailRequest(origin=MAIN, from_index=1, heartbeat_s=60), metadata=metadata))
    assert [entry.index for message in messages for entry in message.entries] == [1, 2]
    assert [message.successor for message in messages][-1] == f"{MAIN}~2"
    assert open_closing(messages[-1].closing, VerifierKey.parse(rotated.vkey)).size == messages[-1].next_index == 3


def test_a_client_with_the_old_key_goes_on_with_the_one_that_the_closed_log_signed_for(auditlog, whole):
    whole.start()
    port, key = whole.address.rpartition(":")[2], listed(whole)["main"]["verifier_key"]
    with Client(whole.address, whole.token("admin"), key=key, timeout_s=60) as client:
        assert client.checkpoint().tree_size == 2
        whole.stop()
        for _ in range(2):
            assert succeed(auditlog, whole).returncode == 0
            whole.start_on(port)
            # The second time the log is as large as the size that the client knows.
            result = client.append([{"action": "a.b", "actor": {"id": "x"}} for _ in range(2)], include_proofs=True)
            assert [(receipt.index, receipt.duplicate) for receipt in result.receipts] == [(1, False), (2, False)]
            assert client.prove(1).index == 1
            whole.stop()
    whole.start()
    with Client(whole.address, whole.token("admin"), key=key) as client:
        assert client.checkpoint().checkpoint.startswith(f"{MAIN}~3\n")
    with Client(whole.address, whole.token("admin"), key=whole.vkey) as client, pytest.raises(VerificationError):
        client.checkpoint()


def test_a_log_is_rotated_while_callers_append_and_follow_and_nothing_is_lost_or_twice(make_server):
    server = make_server(limits="max_event_age_s = 100000000")
    key = listed(server)["main"]["verifier_key"]
    done, failed = threading.Event(), []

    def write(number):
        try:
            with Client(server.address, server.token("writer"), key=key, timeout_s=60) as client:
                count = 0
                while not done.is_set():
                    client.append([{"action": "a.b", "actor": {"id": f"{number}-{count}"}}])
                    count += 1
                written[number] = count
        except Exception as error:  # noqa: BLE001 -- asserted on below
            failed.append(error)

    written = {}
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    with Client(server.address, server.token("admin"), key=key, timeout_s=60) as client:
        tail, seen = client.tail('action = "a.b"', from_index=0), []
        for writer in writers:
            writer.start()
        for place in (2, 3):
            seen += [next(tail) for _ in range(20)]
            rotated = server.cli("rotate", "--reason", "while it runs", "--output", "json")
            assert rotated.returncode == 0, rotated.stderr
            said = json.loads(rotated.stdout)
            assert said["successor"] == f"{MAIN}~{place}"
            while not seen or seen[-1].origin != said["successor"]:
                seen.append(next(tail))
        done.set()
        for writer in writers:
            writer.join()
        assert failed == []
        while len(seen) < sum(written.values()):
            seen.append(next(tail))
        tail.close()
    told = [json.loads(entry.leaf)["event"]["actor"]["id"] for entry in seen]
    assert sorted(told) == sorted(f"{number}-{n}" for number, count in written.items() for n in range(count))
    assert len(leaves(server, 'action = "a.b"', "--limit", "0")) == len(told)
    closed = leaves(server, "--log", "control", "action = log.close")
    assert [entry["caller"]["sub"] for entry in closed] == ["svc-test", "svc-test"]
    logs = listed(server)
    assert (logs["main~1"]["successor"], logs["main"]["origin"]) == (f"{MAIN}~2", f"{MAIN}~3")
    server.kill()
    server.start()
    assert len(leaves(server, 'action = "a.b"', "--limit", "0")) == len(told)
    server.stop()
    assert server.check("--indexes").returncode == 0


def test_what_is_not_rotated_while_the_server_runs(rotated):
    for log, reason, status, said in (
        ("control", "why", 2, "NEEDS_STOP"),
        ("main~1", "why", 2, "LOG_SUCCEEDED"),
        ("nothing", "why", 2, "LOG_NOT_FOUND"),
        ("main", " ", 2, "reason: is empty"),
        ("main", "a\nb", 2, "cannot be printed"),
    ):
        done = rotated.cli("rotate", "--log", log, "--reason", reason)
        assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert rotated.cli("rotate", "--reason", "why", role="writer").returncode == 3
    assert "main~3" not in listed(rotated)


def threads(server):
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return sorted((task / "comm").read_text().strip() for task in tasks)


def wait_until(holds):
    for _ in range(600):
        if holds():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it never came to be")


def test_closed_logs_need_no_threads_and_are_searched_by_index_and_lose_no_signature(whole):
    """Threads are named by nobody but the kernel, so they are counted: one for all closed logs."""
    whole.start()
    alone = len(threads(whole))
    with AdminClient(whole.address, whole.token("admin")) as client:
        for number in range(3):
            call(whole, "Append", request(f"year {number}"))
            client.rotate_log("main", f"year {number} is over")
    wait_until(lambda: len(threads(whole)) <= alone + 1)
    for restarted in (False, True):
        if restarted:
            whole.stop()
            whole.start()
            wait_until(lambda: len(threads(whole)) <= alone + 1)
        found = call(whole, "Query", pb.QueryRequest(log="main~2", filter='id = "year 1"', explain=True))
        assert len(found.entries) == 1
        assert [item.by for item in found.explanation.narrowings]
        assert whole.cli("status", "--output", "json").returncode == 0
        (whole.folder / "logs/main~2/index.db").write_bytes(b"spoilt")
        (whole.folder / "logs/main~2/index.db-wal").unlink(missing_ok=True)
