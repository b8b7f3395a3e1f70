"""`auditlog query`, `get`, `checkpoint` and `logs`."""

from __future__ import annotations

import csv
import json

import grpc
import pytest

from auditd_proto.v1 import audit_log_service_pb2 as pb


@pytest.fixture
def three(connected, connect):
    """A log of three entries."""
    time = "2026-11-24T00:26:13.1Z"
    connect().append(
        [
            {
                "id": "1", "time": time, "tenant": "acme", "action": "user.login", "outcome": "FAILURE",
                "actor": {"id": "alice", "type": "user"}, "resources": [{"type": "account", "id": "42"}],
                "attributes_json": '{"amount": 1.10, "deep":{"er":true}}',
            },
            {
                "id": "2", "time": time, "action": "file.read", "origin": {"ip": "203.0.113.9"},
                "resources": [{"type": "file", "id": "/a", "name": "A"}, {"id": "b"}],
            },
            {"id": "3", "time": time, "action": "x", "actor": {"name": "Carol", "id": "c"}},
        ]
    )  # fmt: skip
    connected.calls.clear()
    return connected


def test_shows_a_table_of_the_newest_first(three, auditlog):
    assert auditlog("query").stdout == (
        "index  time                      actor  action      outcome  resources       origin.ip\n"
        "    2  2026-11-24T00:26:13.100Z  Carol  x\n"
        "    1  2026-11-24T00:26:13.100Z         file.read            file:/a (A), b  203.0.113.9\n"
        "    0  2026-11-24T00:26:13.100Z  alice  user.login  FAILURE  account:42\n"
    )


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_prints_leaves_verbatim_one_a_line(three, auditlog, order):
    leaves = three.leaves if order == "asc" else three.leaves[::-1]
    result = auditlog("query", "--order", order, "--limit", "0", "--output", "jsonl")
    assert result.stdout_bytes == b"".join(leaf + b"\n" for leaf in leaves)


def test_prints_a_json_array_of_verbatim_leaves(three, auditlog):
    result = auditlog("query", "--order", "asc", "--output", "json")
    assert result.stdout_bytes == b"[\n" + b",\n".join(three.leaves) + b"\n]\n"
    assert [entry["index"] for entry in json.loads(result.stdout)] == [0, 1, 2]


def test_passes_filter_order_limit_and_index_on(three, auditlog):
    auditlog("query", 'action = "x"', "--limit", "2", "--order", "asc", "--no-index", "--log", "access")
    assert three.sent("Query") == [
        pb.QueryRequest(
            log="access",
            filter='action = "x"',
            page_size=2,
            order=pb.ORDER_OLDEST_FIRST,
            no_index=True,
            max_wait_ms=150,
        )
    ]


def test_reads_a_hundred_entries_unless_told_otherwise(connected, auditlog, connect):
    connect().append([{"action": "a"} for _ in range(150)])
    for arguments, count in (([], 100), (["--limit", "7"], 7), (["--limit", "0"], 150)):
        assert len(auditlog("query", "--output", "jsonl", *arguments).stdout.splitlines()) == count


def test_writes_csv_that_a_reader_gets_back(three, auditlog):
    result = auditlog("query", "--output", "csv", "--order", "asc")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["index"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["attributes"] == '{"amount": 1.10, "deep":{"er":true}}'
    assert rows[1]["resources"] == "file:/a (A), b"
    assert rows[0]["caller.sub"] == "svc"


def test_shows_chosen_columns_and_numbers_as_written(three, auditlog):
    columns = "index,attributes.amount,attributes.deep,attributes.deep.er,actor.type,recorded_at"
    result = auditlog("query", "--columns", columns, "--output", "csv", "--order", "asc", "--limit", "1")
    assert result.stdout == f'{columns}\n0,1.10,"{{""er"":true}}",true,user,2026-11-24T00:26:13.123456Z\n'


@pytest.mark.parametrize("output", ["table", "csv", "json", "jsonl"])
def test_answers_an_empty_log(connected, auditlog, output):
    result = auditlog("query", "--output", output)
    header = result.stdout.splitlines()[:1]
    assert result.exit_code == 0
    assert result.stdout == {"table": "", "json": "[]\n", "jsonl": ""}.get(output, f"{''.join(header)}\n")


def test_gets_one_entry_as_members_or_leaf(three, auditlog):
    table = auditlog("get", "1").stdout
    assert "resources[0]  file:/a (A)\n" in table
    assert "origin.ip     203.0.113.9\n" in table
    for output in ("json", "jsonl"):
        assert auditlog("get", "1", "--output", output).stdout_bytes == three.leaves[1] + b"\n"


def test_shows_every_member_of_an_entry(three, auditlog):
    text = auditlog("get", "0").stdout
    for value in (
        "user.login",
        "FAILURE",
        "alice",
        "account:42",
        "acme",
        '{"amount": 1.10, "deep":{"er":true}}',
    ):
        assert value in text


def test_says_which_entry_its_reader_cannot_understand(three, auditlog):
    three.leaves[1] = three.leaves[1].replace(b'"v":1', b'"v":2')
    result = auditlog("get", "1")
    assert result.exit_code == 1
    assert result.stderr.startswith("auditlog: entry 1: leaf: v is 2")
    assert auditlog("get", "1", "--output", "jsonl").exit_code == 0


def test_refuses_a_leaf_that_says_it_is_another_entry(three, auditlog):
    three.leaves[1] = three.leaves[0]
    result = auditlog("get", "1")
    assert (result.exit_code, result.stderr) == (1, "auditlog: entry 1: its leaf says it is entry 0\n")


def test_prints_the_signed_note_verbatim(three, auditlog):
    for arguments in ([], ["--key", three.tree.vkey]):
        result = auditlog("checkpoint", *arguments)
        assert (result.exit_code, result.stdout) == (0, three.tree.note())
    fields = json.loads(auditlog("checkpoint", "--output", "json").stdout)
    assert fields["note"] == three.tree.note()
    assert (fields["origin"], fields["size"]) == ("audit.example.com/main", 3)


def test_answers_no_for_a_checkpoint_of_another_key(three, auditlog):
    other = three.tree.vkey.replace("audit.example.com", "evil.example.com")
    result = auditlog("checkpoint", "--key", other)
    assert result.exit_code == 2  # its key ID does not fit the name: no key at all
    three.tree.key_id = b"\0\0\0\0"
    result = auditlog("checkpoint", "--key", type(three.tree)().vkey)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "not signed by the key" in result.stderr


def test_lists_the_logs(three, auditlog):
    assert auditlog("logs").stdout.splitlines()[1].split() == [
        "main", "audit.example.com/main", "3", three.tree.vkey
    ]  # fmt: skip
    assert json.loads(auditlog("logs", "--output", "jsonl").stdout) == {
        "name": "main",
        "origin": "audit.example.com/main",
        "tree_size": 3,
        "verifier_key": three.tree.vkey,
    }


@pytest.mark.parametrize(
    ("code", "reason", "status", "advice"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FILTER", 2, ""),
        (grpc.StatusCode.NOT_FOUND, "LOG_NOT_FOUND", 2, ""),
        (grpc.StatusCode.FAILED_PRECONDITION, "LOG_CLOSED", 2, ""),
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED", 3, "; get a fresh one, and give it as"),
        (grpc.StatusCode.PERMISSION_DENIED, "NO_PERMISSION", 3, "; ask the operator for a role"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 3, "; try again later"),
        (grpc.StatusCode.DATA_LOSS, "LOG_DAMAGED", 1, "; keep this output and your checkpoints"),
        (grpc.StatusCode.INTERNAL, "INTERNAL", 3, "; report it to the operator"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isupper() else "",
)
def test_ends_with_one_line_and_the_status_of_the_error(connected, auditlog, service, code, reason, status, advice):
    connected.fail(service.Failure(code, "the reason", reason))
    result = auditlog("query", "--output", "json")
    assert result.exit_code == status
    assert result.stderr.startswith(f"auditlog: the reason ({reason}){advice}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_says_that_no_server_answers(auditlog):
    result = auditlog("query", "--address", "127.0.0.1:1")
    assert result.exit_code == 3
    assert result.stderr.startswith("auditlog: no server answers: ")
    assert result.stderr.endswith("; check --address, --ca and --insecure, and that the server is running\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["query", "--limit", "-1"], "--limit"),
        (["query", "--order", "up"], "--order"),
        (["query", "--columns", "colour"], "'colour' is no column"),
        (["query", "--columns", ","], "no column named"),
        (["get", "-1"], "-1"),
        (["get", "first"], "'first'"),
        (["get", str(2**63)], str(2**63)),
        (["get"], "INDEX"),
        (["query", "a", "b"], "b"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
    ids=["limit", "order", "column", "no column", "negative", "word", "beyond", "missing", "two filters", "command"],
)
def test_refuses_misuse_in_one_line(connected, auditlog, arguments, words):
    result = auditlog(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.startswith("auditlog: ")
    assert result.stderr.count("\n") == 1
    assert connected.calls == []
