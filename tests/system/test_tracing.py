"""Traces: the spans that a collector receives from a real server, and what they must never hold."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as collected
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from auditd.errors import ConfigError
from auditd.server import check_config
from auditd_client import AdminClient, ConflictError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from auditd_proto.v1 import audit_log_service_pb2 as pb
from tests.system.conftest import Server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "s3cret-of-the-event"


class Collector(TraceServiceServicer):
    """Keeps what it is sent, as any collector of OTLP does."""

    def __init__(self):
        self.lock = threading.Lock()
        self.received = []

    def Export(self, request, _context):  # noqa: N802 - the name of the service
        with self.lock:
            self.received.append(request)
        return collected.ExportTraceServiceResponse()

    def spans(self):
        return [
            span
            for request in self.received
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def attributes_of(holder):
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in holder.attributes}


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A collector that has all spans of a few calls, and what those calls sent."""
    collector = Collector()
    receiver = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, receiver)
    port = receiver.add_insecure_port("127.0.0.1:0")
    receiver.start()
    server = Server.make(tmp_path_factory.mktemp("traced") / "server")
    with (server.folder / "auditd.toml").open("a") as config:
        config.write(f'\n[tracing]\nendpoint = "http://127.0.0.1:{port}"\nservice_name = "audit"\n')
    server.start()
    token = server.token("admin", subject="svc-secret-name")
    with AdminClient(server.address, token) as client:
        event = {"id": "one", "time": "2026-11-25T00:00:00Z", "action": SECRET, "attributes": {"password": SECRET}}
        client.append([event, {"action": "second"}], timeout_s=10)
        with pytest.raises(ConflictError):
            client.append({**event, "action": "other"})
        with pytest.raises(NotFoundError):
            client.get(7)
        client.status()
        list(client.export())
    with AdminClient(server.address, server.token("writer")) as client, pytest.raises(PermissionDeniedError):
        client.get(0)
    with AdminClient(server.address, "no.token.atall") as client, pytest.raises(UnauthenticatedError):
        client.get(0)
    stub = server.stub()
    for bearer, trace in ((token, TRACE), ("no.token.atall", "f" * 32)):
        metadata = [("authorization", f"Bearer {bearer}"), ("traceparent", f"00-{trace}-{PARENT}-01")]
        try:
            stub.ListLogs(pb.ListLogsRequest(), metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED  # noqa: PT017 - of the second alone
    for unfit in ("00-zz-00-01", "x" * 5_000, ""):
        metadata = [("authorization", f"Bearer {token}"), ("traceparent", unfit), ("tracestate", unfit)]
        stub.ListLogs(pb.ListLogsRequest(), metadata=metadata, timeout=10)
    assert server.stop() == 0
    receiver.stop(None)
    return collector, token


def of_method(traced, method, status=0):
    return [
        span
        for span in traced[0].spans()
        if span.name.endswith(f"/{method}") and attributes_of(span).get("rpc.grpc.status_code") == status
    ]


def test_each_call_is_a_span_with_method_kind_of_caller_and_status(traced):
    [append] = of_method(traced, "Append")
    assert append.name == "auditd.v1.AuditLogService/Append"
    assert attributes_of(append) == {
        "rpc.system": "grpc",
        "rpc.service": "auditd.v1.AuditLogService",
        "rpc.method": "Append",
        "rpc.grpc.status_code": 0,
        "auditd.caller.kind": "token",
    }
    assert append.kind == append.SPAN_KIND_SERVER
    assert 0 < append.start_time_unix_nano < append.end_time_unix_nano
    assert [span.name for span in of_method(traced, "GetStatus")] == ["auditd.v1.AdminService/GetStatus"]


def test_the_stages_of_an_append_lie_within_it_one_after_the_other(traced):
    [append] = of_method(traced, "Append")
    stages = {span.name: span for span in traced[0].spans() if span.parent_span_id == append.span_id}
    assert set(stages) == {"authenticate", "decode", "work", "queue", "commit"}
    assert {span.trace_id for span in stages.values()} == {append.trace_id}
    order = [stages[name] for name in ("authenticate", "decode", "queue", "commit")]
    for before, after in pairwise(order):
        assert before.start_time_unix_nano <= before.end_time_unix_nano <= after.end_time_unix_nano
    assert stages["queue"].end_time_unix_nano == stages["commit"].start_time_unix_nano
    work = stages["work"]
    assert work.start_time_unix_nano <= stages["queue"].start_time_unix_nano
    assert stages["commit"].end_time_unix_nano <= work.end_time_unix_nano <= append.end_time_unix_nano
    assert attributes_of(stages["commit"]) == {"auditd.log": "main", "auditd.events": 2}


@pytest.mark.parametrize(
    ("method", "code", "reason"),
    [
        ("Append", grpc.StatusCode.ALREADY_EXISTS, "EVENT_CONFLICT"),
        ("Get", grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND"),
        ("Get", grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
        ("Get", grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MALFORMED"),
    ],
)
def test_a_refusal_has_its_code_and_reason_and_is_no_fault_of_the_server(traced, method, code, reason):
    [span] = of_method(traced, method, code.value[0])
    assert attributes_of(span)["auditd.reason"] == reason
    assert span.status.code == span.status.STATUS_CODE_UNSET


def test_streams_are_spans_as_well(traced):
    [export] = of_method(traced, "Export")
    assert attributes_of(export)["rpc.method"] == "Export"


def test_the_trace_of_a_known_caller_goes_on_and_that_of_a_stranger_does_not(traced):
    spans = of_method(traced, "ListLogs")
    assert [span.parent_span_id.hex() for span in spans if span.trace_id.hex() == TRACE] == [PARENT]
    # What is no traceparent begins a trace.
    assert [span.parent_span_id for span in spans if span.trace_id.hex() != TRACE] == [b"", b"", b""]
    [stranger] = of_method(traced, "ListLogs", grpc.StatusCode.UNAUTHENTICATED.value[0])
    assert stranger.trace_id.hex() != "f" * 32
    assert stranger.parent_span_id == b""
    assert attributes_of(stranger)["auditd.caller.kind"] == "unauthenticated"


def test_no_token_subject_address_or_content_is_in_any_span(traced):
    collector, token = traced
    sent = b"".join(request.SerializeToString() for request in collector.received)
    for secret in (token, token.split(".")[1], token.split(".")[2], "svc-secret-name", SECRET, "password", "127.0.0.1"):
        assert secret.encode() not in sent


def test_the_server_is_named(traced):
    about = attributes_of(traced[0].received[0].resource_spans[0].resource)
    assert (about["service.name"], about["service.instance.id"]) == ("audit", "audit.example.com")
    assert about["service.version"]


def test_a_collector_that_is_away_costs_no_call_and_no_stop(make_server):
    server = make_server(start=False)
    with (server.folder / "auditd.toml").open("a") as config:
        config.write('\n[tracing]\nendpoint = "http://127.0.0.1:9"\n')
    server.start()
    with AdminClient(server.address, server.token("admin")) as client:
        for _ in range(3):
            client.append({"action": "a.b"}, timeout_s=5)
    assert server.stop() == 0


def test_nothing_of_it_is_imported_where_it_is_off():
    code = "import sys, auditd.server._serve; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "tracing.endpoint: is missing"),
        ('endpoint = "collector:4317"', "must be http://HOST:PORT"),
        ('endpoint = "http://user:password@collector:4317"', "must be http://HOST:PORT"),
        ('endpoint = "http://collector:4317"\nsampled_per_mille = 1001', "tracing.sampled_per_mille"),
    ],
    ids=["no-endpoint", "no-scheme", "password", "share"],
)
def test_settings_that_are_none_are_named(tmp_path, settings, said):
    server = Server.make(tmp_path / "server")
    with (server.folder / "auditd.toml").open("a") as config:
        config.write(f"\n[tracing]\n{settings}\n")
    with pytest.raises(ConfigError, match=said):
        check_config(server.folder)


def test_without_what_it_needs_the_server_says_what_to_install(tmp_path):
    server = Server.make(tmp_path / "server")
    with (server.folder / "auditd.toml").open("a") as config:
        config.write('\n[tracing]\nendpoint = "http://127.0.0.1:4317"\n')
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "sys.argv = ['auditlog', 'serve', sys.argv[1], *sys.argv[2:]]\n"
        "from auditd_client.cli import main; main()"
    )
    for flags in ([], ["--check-config"]):
        command = [sys.executable, "-c", code, str(server.folder), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2, done.stderr
        assert "pip install 'auditd[otel]'" in done.stderr
