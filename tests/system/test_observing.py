"""A server seen from outside: metrics, health, readiness, `auditlog status`, and what it says."""

from __future__ import annotations

import http.client
import json
import os
import pty
import resource
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from prometheus_client.parser import text_string_to_metric_families

from auditd._native import available
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import detail_of

AUDITLOG = str(Path(sys.executable).with_name("auditlog"))
HTTP = '\n[http]\nlisten = "127.0.0.1:0"\n'
WITHOUT_TEXT = '\n[index]\nwithout_text = ["access"]\n'
PAGE, TABLE_LEAF = 4_096, 13
MANY = 600
"""Entries enough that the first of them stand neither in the tree's ragged edge nor on its pages."""


def configure(server, text: str) -> None:
    with (server.folder / "auditd.toml").open("a") as config:
        config.write(text)


def http_address(server) -> str:
    return server.said.partition("metrics and health: http://")[2].split()[0]


def get(server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{http_address(server)}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def metrics(server) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels, in the order of their names."""
    status, text = get(server, "/metrics")
    assert status == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def request(*, known_id: str = "", count: int = 1) -> pb.AppendRequest:
    made = pb.AppendRequest()
    for number in range(count):
        event = made.events.add(action="user.login")
        event.id = known_id or f"{time.time_ns()}-{number}"
        event.time.FromNanoseconds(1_790_000_000_000_000_000 if known_id else time.time_ns())
        event.actor.id = "alice"
    return made


_tokens: dict[Path, str] = {}


def bearer(server) -> list[tuple[str, str]]:
    if server.folder not in _tokens:
        _tokens[server.folder] = server.token("admin")
    return [("authorization", f"Bearer {_tokens[server.folder]}")]


def refusal_of(call: Callable[[], object]) -> tuple[grpc.StatusCode, ErrorInfo]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), detail_of(caught.value, ErrorInfo)


def eventually(ask: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not ask():
        if time.monotonic() > until:
            return False
    return True


@pytest.fixture(scope="module")
def watched(serve_folder):
    return serve_folder(f'format = 1\norigin = "audit.example.com"\n{HTTP}{WITHOUT_TEXT}')


def test_it_is_off_unless_it_is_asked_for(make_server):
    assert "http" not in make_server().said


def test_a_sound_server_is_alive_and_ready(watched):
    assert get(watched, "/healthz") == (200, "alive\n")
    assert get(watched, "/readyz") == (200, "ready\n")


def test_metrics_count_what_happened(watched):
    stub, token = watched.stub(), bearer(watched)
    before = metrics(watched)
    again = request(known_id="once")
    for sent in (request(), again, again):
        stub.Append(sent, metadata=token)
    assert refusal_of(lambda: stub.Query(pb.QueryRequest(filter="~"), metadata=token))[1].reason == "INVALID_FILTER"
    assert refusal_of(lambda: stub.Append(request()))[1].reason == "TOKEN_MISSING"
    after = metrics(watched)

    def grown(*name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("auditd_calls_total", "OK", "Append") == 3
    assert grown("auditd_calls_total", "INVALID_ARGUMENT", "Query") == 1
    assert grown("auditd_refusals_total", "INVALID_ARGUMENT", "Query", "INVALID_FILTER") == 1
    assert grown("auditd_refusals_total", "UNAUTHENTICATED", "Append", "TOKEN_MISSING") == 1
    assert grown("auditd_entries_recorded_total", "main") == 2
    assert grown("auditd_duplicates_total", "main") == 1
    assert grown("auditd_log_entries", "main") == 2
    for stage in ("record", "prepare", "store", "sign"):
        assert after["auditd_log_stage_seconds_count", "main", stage] >= 2
        assert after["auditd_log_stage_seconds_sum", "main", stage] > 0
    for stage in ("authenticate", "decode", "work"):
        assert after["auditd_call_stage_seconds_count", "Append", stage] >= 3
    assert after["auditd_queue_events", "main"] == 0
    assert after["auditd_disk_free_bytes",] > 0
    assert after["auditd_file_bytes", "evidence.db", "main"] > 0
    assert abs(after["auditd_clock_step_seconds",]) < 60
    assert eventually(lambda: metrics(watched)["auditd_calls_under_way", "Append"] == 0)
    assert eventually(lambda: metrics(watched)["auditd_index_lag_entries", "fields", "main"] == 0)


def test_open_tails_are_counted(watched):
    stream = watched.stub().Tail(pb.TailRequest(), metadata=bearer(watched))
    next(stream)
    assert metrics(watched)["auditd_tails",] == 1
    assert metrics(watched)["auditd_calls_under_way", "Tail"] == 1
    stream.cancel()
    assert eventually(lambda: metrics(watched)["auditd_tails",] == 0)
    assert eventually(lambda: metrics(watched)["auditd_calls_total", "ABANDONED", "Tail"] == 1)


def test_the_last_check_is_known(watched):
    assert ("auditd_last_check_sound",) not in metrics(watched)
    assert watched.check().returncode == 0
    assert ("auditd_last_check_sound",) not in metrics(watched)
    assert watched.check("--keep-outcome").returncode == 0
    told = metrics(watched)
    assert (told["auditd_last_check_sound",], told["auditd_last_check_findings",]) == (1, 0)
    assert 0 <= time.time() - told["auditd_last_check_timestamp_seconds",] < 60
    for nonsense in ("", "[]", '{"ended_at":1e300,"sound":true,"findings":0,"entries":0}', '{"ended_at":NaN}'):
        (watched.folder / "last-check.json").write_text(nonsense)
        assert ("auditd_last_check_sound",) not in metrics(watched)
    (watched.folder / "last-check.json").unlink()
    (watched.folder / "last-check.json").mkdir()
    done = watched.check("--keep-outcome")
    (watched.folder / "last-check.json").rmdir()
    assert (done.returncode, "the outcome was not kept" in done.stderr, "sound" in done.stdout) == (2, True, True)


def test_status_shows_the_same_to_a_person(watched):
    watched.stub().Append(request(), metadata=bearer(watched))
    shown = watched.cli("status")
    assert shown.returncode == 0
    assert shown.stdout.startswith("audit.example.com: ready, auditd ")
    for text in ("durable p50", "Append", "disk: ", "clock: ", "damage met: 0"):
        assert text in shown.stdout
    told = json.loads(watched.cli("status", "--output", "json").stdout)
    assert (told["origin"], told["ready"], told["problems"], told["damage"]) == ("audit.example.com", True, [], [])
    main = next(log for log in told["logs"] if log["name"] == "main")
    assert main["tree_size"] == metrics(watched)["auditd_log_entries", "main"]
    assert (main["problem"], main["queued_events"]) == ("", 0)
    assert main["record"]["count"] >= 1
    assert main["file_bytes"]["evidence.db"] > 0


@pytest.mark.skipif(not available(), reason="text is indexed by native code alone")
def test_how_far_each_index_is_behind_is_shown(watched):
    for _ in range(5):
        watched.stub().Append(request(count=1_000), metadata=bearer(watched))
    lag = "auditd_index_lag_entries"
    assert eventually(lambda: metrics(watched)[lag, "text", "main"] < 4_096)
    assert eventually(lambda: metrics(watched)[lag, "times", "main"] < 256)
    assert (lag, "text", "access") not in metrics(watched)
    status = json.loads(watched.cli("status", "--output", "json").stdout)
    access, _, main = status["logs"]
    assert (access["text_index"], access["text_index_covered"]) == ("OFF", 0)
    assert (main["text_index"], main["time_index"]) == ("CURRENT", "CURRENT")
    assert main["text_index_covered"] == main["tree_size"] // 4_096 * 4_096
    assert main["time_index_covered"] == main["tree_size"] // 256 * 256
    rows = [line.split() for line in watched.cli("status").stdout.splitlines()]
    assert any(row[0] == "access" and "off" in row for row in rows if row)
    assert any(row[0] == "main" and row[-3] == "0" for row in rows if row), "less than a block is no lag"


def test_status_is_for_administrators(watched):
    refused = watched.cli("status", role="auditor")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "PERMISSION_DENIED" in refused.stderr


class TestHostileHttp:
    def ask(self, server, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None):
        connection = http.client.HTTPConnection(http_address(server), timeout=30)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        found = answer.status, answer.read(), answer.headers
        connection.close()
        return found

    def raw(self, server, data: bytes) -> bytes:
        host, _, port = http_address(server).rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as peer:
            peer.sendall(data)
            answer = b""
            try:
                while part := peer.recv(65_536):
                    answer += part
            except ConnectionResetError:
                pass
            return answer

    @pytest.mark.parametrize("path", ["/", "/metrics/../etc/passwd", "/%2e%2e", "//metrics", "/readyz%00", "*"])
    def test_an_unknown_path_is_not_found(self, watched, path):
        status, body, _ = self.ask(watched, "GET", path)
        assert (status, body) == (404, b"no such path; there are /metrics, /healthz, /readyz\n")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
    def test_another_method_is_not_allowed(self, watched, method):
        status, _, headers = self.ask(watched, method, "/metrics", body=b"x" * 1_000)
        assert (status, headers["Allow"], headers["Connection"]) == (405, "GET, HEAD", "close")

    def test_head_answers_without_a_body(self, watched):
        status, body, headers = self.ask(watched, "HEAD", "/healthz")
        assert (status, body, headers["Content-Length"]) == (200, b"", "6")

    def test_too_large_headers_are_refused(self, watched):
        assert self.raw(watched, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000).startswith(
            b"HTTP/1.1 431 "
        )
        assert self.raw(watched, b"GET /" + b"a" * 20_000).startswith(b"HTTP/1.1 431 ")

    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20) + b"\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        ],
        ids=["tls", "http2", "no host", "two lengths", "unknown encoding"],
    )
    def test_what_is_no_request_is_refused(self, watched, data):
        assert self.raw(watched, data).split(b" ")[1] in (b"400", b"404", b"501", b"505")

    def test_a_body_is_not_read(self, watched):
        data = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n"
        assert b"\r\nalive\n" in self.raw(watched, data)

    def test_two_requests_may_share_a_connection(self, watched):
        one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert self.raw(watched, one + last).count(b"\r\nalive\n") == 2

    def test_connections_beyond_the_limit_are_closed_and_calls_go_on(self, watched):
        host, _, port = http_address(watched).rpartition(":")
        peers = [socket.create_connection((host, int(port)), timeout=30) for _ in range(40)]
        try:
            for peer in peers[32:]:
                assert peer.recv(1) == b""
            assert watched.stub().Append(request(), metadata=bearer(watched)).receipts
        finally:
            for peer in peers:
                peer.close()
        assert eventually(lambda: self.raw(watched, b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"alive\n"))


@pytest.mark.parametrize(
    ("listen", "said"),
    [("0.0.0.0:0", "http: 0.0.0.0:0 is not loopback"), ("7480", "http: '7480', must be HOST:PORT")],
)
def test_it_listens_where_it_may_alone(make_server, auditlog, listen, said):
    server = make_server(start=False)
    refused = auditlog("serve", str(server.folder), "--listen", "127.0.0.1:0", "--http", listen)
    assert (refused.returncode, said in refused.stderr) == (2, True)
    configure(server, f'\n[http]\nlisten = "{listen}"\n')
    checked = auditlog("serve", str(server.folder), "--check-config")
    assert (checked.returncode, said in checked.stderr) == (2, True)


def test_elsewhere_than_on_loopback_it_must_be_allowed_by_name(make_server):
    server = make_server(start=False)
    configure(server, '\n[http]\nlisten = "0.0.0.0:0"\nallow_remote = true\n')
    server.start()
    assert get(server, "/healthz")[0] == 200


def test_a_taken_port_is_named(make_server, watched, auditlog):
    server = make_server(start=False)
    taken = http_address(watched)
    refused = auditlog("serve", str(server.folder), "--listen", "127.0.0.1:0", "--http", taken)
    assert (refused.returncode, f"http: cannot listen on {taken}" in refused.stderr) == (2, True)


def test_a_log_that_cannot_be_written_is_not_ready_until_it_can(make_server):
    server = make_server(start=False)
    configure(server, HTTP)
    server.start()
    stub, token = server.stub(), bearer(server)
    stub.Append(request(), metadata=token)
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))  # as a full disk: no file may grow
    code, _ = refusal_of(lambda: stub.Append(request(), metadata=token))
    assert code is grpc.StatusCode.UNAVAILABLE
    status, body = get(server, "/readyz")
    assert status == 503
    assert body.startswith("not ready: log main cannot be written: ")
    assert get(server, "/healthz")[0] == 200
    told = metrics(server)
    assert (told["auditd_log_writable", "main"], told["auditd_ready",]) == (0, 0)
    assert told["auditd_commit_failures_total", "main"] == 1
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert eventually(lambda: get(server, "/readyz") == (200, "ready\n")), "nobody appends, and it becomes ready"
    assert stub.Append(request(), metadata=token).receipts


def flip_a_bit(evidence: Path, index: int) -> None:
    """Damage an entry of a log that nobody serves."""
    with sqlite3.connect(f"file:{evidence}?immutable=1", uri=True) as database:
        ((frame,),) = database.execute("SELECT leaf FROM entries WHERE idx = ?", (index,)).fetchall()
    database.close()
    data = bytearray(evidence.read_bytes())
    at = data.find(frame)
    while data[at - at % PAGE] != TABLE_LEAF:  # a page that was split may still hold what moved to another
        at = data.index(frame, at + 1)
    data[at + len(frame) // 2] ^= 1
    evidence.write_bytes(data)


@pytest.fixture(scope="module")
def damaged(serve_folder):
    """A server one of whose older entries was damaged on the disk, below everything that its start reads."""
    server = serve_folder(f'format = 1\norigin = "audit.example.com"\n{HTTP}\n[logging]\nformat = "text"\n')
    server.stub().Append(request(count=MANY), metadata=bearer(server))
    server.stop()
    flip_a_bit(server.folder / "logs/main/evidence.db", 5)
    (server.folder / "logs/main/index.db").unlink()
    for suffix in ("-wal", "-shm"):
        (server.folder / f"logs/main/index.db{suffix}").unlink(missing_ok=True)
    server.start()
    return server


class TestDamageMetWhileServing:
    def test_is_answered_with_data_loss_that_names_the_entry(self, damaged):
        code, info = refusal_of(lambda: damaged.stub().Get(pb.GetRequest(index=5), metadata=bearer(damaged)))
        assert (code, info.metadata["log"], info.metadata["index"]) == (grpc.StatusCode.DATA_LOSS, "main", "5")

    def test_is_named_by_its_first_entry_where_many_are_read(self, damaged):
        query = pb.QueryRequest(filter='actor.id = "alice"', order=pb.ORDER_OLDEST_FIRST, no_index=True, page_size=500)
        code, info = refusal_of(lambda: damaged.stub().Query(query, metadata=bearer(damaged)))
        assert code is grpc.StatusCode.DATA_LOSS
        assert int(info.metadata["index"]) <= 5

    def test_fails_readiness_and_is_counted(self, damaged):
        refusal_of(lambda: damaged.stub().Get(pb.GetRequest(index=5), metadata=bearer(damaged)))
        status, body = get(damaged, "/readyz")
        assert status == 503
        assert "damage in log main at entry 5: " in body
        told = metrics(damaged)
        assert told["auditd_ready",] == 0
        assert told["auditd_damage_met_total",] >= 1
        assert told["auditd_damaged_places", "main"] >= 1
        assert (
            sum(value for key, value in told.items() if key[:3] == ("auditd_refusals_total", "DATA_LOSS", "Get")) >= 1
        )

    def test_is_met_by_the_index_too(self, damaged):
        assert eventually(lambda: metrics(damaged)["auditd_index_lag_entries", "fields", "main"] > 0)
        assert eventually(lambda: get(damaged, "/readyz")[0] == 503), "though nobody reads"

    def test_is_shown_by_status_which_ends_with_no(self, damaged):
        refusal_of(lambda: damaged.stub().Get(pb.GetRequest(index=5), metadata=bearer(damaged)))
        shown = damaged.cli("status", "--output", "json")
        told = json.loads(shown.stdout)
        assert (shown.returncode, told["ready"]) == (1, False)
        assert 5 in [place["index"] for place in told["damage"]]

    def test_harms_nothing_else(self, damaged):
        stub, token = damaged.stub(), bearer(damaged)
        assert stub.Append(request(), metadata=token).receipts
        assert stub.Get(pb.GetRequest(index=MANY - 1), metadata=token).entry.leaf
        newest = pb.QueryRequest(filter='actor.id = "alice"', page_size=5)
        assert len(stub.Query(newest, metadata=token).entries) == 5
        assert get(damaged, "/healthz")[0] == 200


def start(folder, stderr, *arguments: str) -> subprocess.Popen[bytes]:
    command = [AUDITLOG, "serve", str(folder), "--listen", "127.0.0.1:0", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)


def test_json_logs_are_one_event_a_line_without_secrets(make_server):
    server = make_server(start=False)
    configure(server, '\n[logging]\nlevel = "info"\nformat = "json"\n')
    process = start(server.folder, subprocess.PIPE, "--http", "127.0.0.1:0")
    lines = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if lines[-1]["event"] == "ready":
            break
    server.address = lines[-1]["grpc"][0]
    token = server.token("admin")
    assert server.stub().Append(request(), metadata=[("authorization", f"Bearer {token}")]).receipts
    process.terminate()
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    lines += map(json.loads, rest.splitlines())
    assert {"time", "level", "event", "logger"} <= lines[0].keys()
    assert "stopping" in [line["event"] for line in lines]
    assert not any(part in json.dumps(lines) for part in token.split("."))


def test_the_level_says_what_is_left_out(make_server):
    server = make_server(start=False)
    configure(server, '\n[logging]\nlevel = "error"\nformat = "json"\n')
    process = start(server.folder, subprocess.PIPE)
    first = json.loads(process.stderr.readline())
    assert first["event"] == "ready", "announcements are made at any level"
    process.terminate()
    rest = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert rest == b""


def test_on_a_terminal_they_are_text(make_server):
    server = make_server(start=False)
    configure(server, '\n[logging]\nlevel = "info"\n')
    ours, theirs = pty.openpty()
    process = start(server.folder, theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4_096):
            said += part
            if b"is ready on" in said:
                process.terminate()
    except OSError:  # how a terminal says that the other side is gone
        pass
    os.close(ours)
    assert process.wait() == 0
    text = said.decode()
    assert "auditd is ready on 127.0.0.1:" in text
    assert "INFO auditd.server._serve: stopping drain_s=10" in text
    assert "{" not in text
