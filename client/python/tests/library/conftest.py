"""A real gRPC server over loopback, in front of a log held in memory that can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from auditd_client import AsyncClient, Client, RetryPolicy, event_to_dict
from auditd_proto.v1 import audit_log_service_pb2 as pb
from auditd_proto.v1.audit_log_service_pb2_grpc import (
    AuditLogServiceServicer,
    add_AuditLogServiceServicer_to_server,
)

ORIGIN = "audit.example.com/main"


def sha256(data):
    return hashlib.sha256(data).digest()


class Tree:
    """RFC 6962 section 2.1 by its definitions, signed with a fixed key."""

    def __init__(self, origin=ORIGIN):
        self.origin = origin
        self.hashes = []
        self.known = {}
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        material = b"\x01" + self.key.public_key().public_bytes_raw()
        self.key_id = sha256(origin.encode() + b"\n" + material)[:4]
        self.vkey = f"{origin}+{self.key_id.hex()}+{base64.b64encode(material).decode()}"

    def append(self, leaf):
        self.hashes.append(sha256(b"\x00" + leaf))

    def root(self, start, end):
        if end - start == 0:
            return sha256(b"")
        if end - start == 1:
            return self.hashes[start]
        if (start, end) not in self.known:
            middle = start + self.split(end - start)
            node = sha256(b"\x01" + self.root(start, middle) + self.root(middle, end))
            self.known[start, end] = node
        return self.known[start, end]

    @staticmethod
    def split(size):
        return 1 << ((size - 1).bit_length() - 1)

    def path(self, index, start, end):
        if end - start == 1:
            return []
        middle = start + self.split(end - start)
        if index < middle:
            return [*self.path(index, start, middle), self.root(middle, end)]
        return [*self.path(index, middle, end), self.root(start, middle)]

    def consistency(self, size, start, end, known=True):
        if size == end - start:
            return [] if known else [self.root(start, end)]
        k = self.split(end - start)
        if size <= k:
            return [*self.consistency(size, start, start + k, known), self.root(start + k, end)]
        return [*self.consistency(size - k, start + k, end, False), self.root(start, start + k)]

    def without(self, chosen, start, end):
        """The hashes of the maximal subtrees that hold none of the chosen leaves."""
        if not any(start <= index < end for index in chosen):
            return [self.root(start, end)]
        if end - start == 1:
            return []
        middle = start + self.split(end - start)
        return [*self.without(chosen, start, middle), *self.without(chosen, middle, end)]

    def note(self, size=None):
        size = len(self.hashes) if size is None else size
        text = f"{self.origin}\n{size}\n{base64.b64encode(self.root(0, size)).decode()}\n"
        signature = base64.b64encode(self.key_id + self.key.sign(text.encode())).decode()
        return f"{text}\n— {self.origin} {signature}\n"


class Failure:
    """An answer with a status code and details."""

    def __init__(self, code, message="refused", reason=None, metadata=None, details=(), domain="auditd"):
        self.code = code
        self.message = message
        details = list(details)
        if reason is not None:
            details.insert(0, error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata or {}))
        packed = [any_pb2.Any() for _ in details]
        for target, detail in zip(packed, details, strict=True):
            target.Pack(detail)
        self.status = status_pb2.Status(code=code.value[0], message=message, details=packed)


def retry_info(seconds):
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    return info


class LogDouble(AuditLogServiceServicer):
    """The service over one log in memory. Each call is kept in `calls`, and first obeys `script`.

    An item of `script` is None, a Failure to answer with, or a function of the request to call.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.idle = threading.Condition(self.lock)
        self.appending = 0
        self.calls = []
        self.script = deque()
        self.room = 1_000
        self.stored_but = deque()
        self.tails = deque()
        self.counts = deque()
        self.reset()

    def reset(self):
        """Start an empty log: what an operator does who puts back an old copy.

        Waits for appends of callers that did not wait for their answers, which would land in the new log.
        """
        with self.idle:
            assert self.idle.wait_for(lambda: self.appending == 0, 30)
            self.tree = Tree()
            self.leaves = []
            self.by_name = {}

    def fail(self, *items):
        self.script.extend(items)

    def sent(self, method):
        """The requests to a method, in the order they came in."""
        return [call.request for call in self.calls if call.method == method]

    def _begin(self, method, request, context):
        with self.lock:
            metadata = dict(context.invocation_metadata())
            self.calls.append(SimpleNamespace(method=method, request=request, metadata=metadata))
            item = self.script.popleft() if self.script else None
        if isinstance(item, Failure):
            self._abort(item, context)
        elif item is not None:
            item(request)

    @staticmethod
    def _abort(failure, context):
        context.abort_with_status(rpc_status.to_status(failure.status))

    def Append(self, request, context):  # noqa: N802 - the name of the service
        with self.lock:
            self.appending += 1
        try:
            return self._append(request, context)
        finally:
            with self.idle:
                self.appending -= 1
                self.idle.notify_all()

    def _append(self, request, context):
        self._begin("Append", request, context)
        if not 1 <= len(request.events) <= 1_000:
            self._abort(Failure(grpc.StatusCode.INVALID_ARGUMENT, reason="BATCH_SIZE"), context)
        if len(request.events) > self.room:
            facts = {"max_events": str(self.room)}
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            self._abort(Failure(code, reason="RESPONSE_TOO_LARGE", metadata=facts), context)
        with self.lock:
            if not context.is_active():
                # The caller has gone, perhaps with its test: nothing of it may land in the log of the next one.
                return pb.AppendResponse()
            self._check_known(request, context)
            recorded = [self._record(event) for event in request.events]
            response = self._response(request, recorded)
            failure = self.stored_but.popleft() if self.stored_but else None
        if failure is not None:
            self._abort(failure, context)
        return response

    def _check_known(self, request, context):
        if request.HasField("known_size") and request.known_size > len(self.leaves):
            code = grpc.StatusCode.FAILED_PRECONDITION
            self._abort(Failure(code, "shorter than known", "LOG_BEHIND_CALLER"), context)

    def _record(self, event):
        if event.id in self.by_name:
            return self.by_name[event.id], True
        index = self.by_name[event.id] = len(self.leaves)
        members = event_to_dict(event)
        attributes = members.pop("attributes_json", None)
        leaf = {
            "v": 1,
            "log": self.tree.origin,
            "index": index,
            "recorded_at": "2026-11-24T00:26:13.123456Z",
            "salt": "AAAAAAAAAAAAAAAAAAAAAA==",
            "caller": {"kind": "token", "iss": "https://idp.example.com", "sub": "svc"},
            "event": members,
        }
        text = json.dumps(leaf, separators=(",", ":"), ensure_ascii=False)
        if attributes is not None:
            text = f'{text[:-2]},"attributes":{attributes}}}}}'
        self.leaves.append(text.encode())
        self.tree.append(self.leaves[-1])
        return index, False

    def _response(self, request, recorded):
        size = len(self.leaves)
        response = pb.AppendResponse(checkpoint=self.tree.note())
        if request.HasField("known_size"):
            response.consistency_proof.extend(self.tree.consistency(request.known_size, 0, size))
        for index, duplicate in recorded:
            receipt = response.receipts.add(index=index, leaf_hash=self.tree.hashes[index], duplicate=duplicate)
            receipt.recorded_at.FromJsonString("2026-11-24T00:26:13.123456Z")
            if request.return_leaves:
                receipt.leaf = self.leaves[index]
            if request.include_proofs:
                receipt.inclusion_proof.extend(self.tree.path(index, 0, size))
        return response

    def Get(self, request, context):  # noqa: N802
        self._begin("Get", request, context)
        if request.index >= len(self.leaves):
            self._abort(Failure(grpc.StatusCode.NOT_FOUND, reason="ENTRY_NOT_FOUND"), context)
        return pb.GetResponse(entry=pb.Entry(index=request.index, leaf=self.leaves[request.index]))

    def Query(self, request, context):  # noqa: N802
        self._begin("Query", request, context)
        indexes = list(range(len(self.leaves)))
        if bounds := re.fullmatch(r"index >= (\d+) AND index < (\d+)", request.filter):
            indexes = indexes[int(bounds[1]) : int(bounds[2])]
        if request.order == pb.ORDER_NEWEST_FIRST:
            indexes.reverse()
        start = int(request.page_token or 0)
        page = indexes[start : start + request.page_size]
        end = start + len(page)
        return pb.QueryResponse(
            entries=[pb.Entry(index=index, leaf=self.leaves[index]) for index in page],
            next_page_token=str(end) if end < len(indexes) else "",
            tree_size=len(indexes),
        )

    def Tail(self, request, context):  # noqa: N802
        """Obey the next function of `tails`: what it yields is sent, and a Failure ends the stream."""
        self._begin("Tail", request, context)
        for item in self.tails.popleft()(request):
            if isinstance(item, Failure):
                self._abort(item, context)
            yield item

    def message(self, first, end, indexes=None, known_size=0):
        """What a tail says of the entries in `[first, end)`."""
        size = len(self.leaves)
        message = pb.TailResponse(first_index=first, next_index=end, checkpoint=self.tree.note())
        for index in range(first, end) if indexes is None else indexes:
            path = self.tree.path(index, 0, size)
            message.entries.add(index=index, leaf=self.leaves[index], inclusion_proof=path)
        if known_size:
            message.consistency_proof.extend(self.tree.consistency(known_size, 0, size))
        return message

    def Aggregate(self, request, context):  # noqa: N802
        self._begin("Aggregate", request, context)
        return self.counts.popleft()

    def Prove(self, request, context):  # noqa: N802
        self._begin("Prove", request, context)
        size = len(self.leaves)
        response = pb.ProveResponse(checkpoint=self.tree.note())
        if request.HasField("consistency"):
            older, newer = request.consistency.from_size, request.consistency.to_size or size
            response.consistency.from_size, response.consistency.to_size = older, newer
            response.consistency.hashes.extend(self.tree.consistency(older, 0, newer))
            return response
        if request.HasField("range"):
            response.entries.tree_size = size
            chosen = range(request.range.first, request.range.last)
            response.entries.hashes.extend(self.tree.without(chosen, 0, size))
            return response
        target = getattr(request, request.WhichOneof("target"))
        index = self.by_name[target.id] if request.HasField("event_name") else target.index
        proof = response.inclusion
        proof.index, proof.tree_size = index, target.tree_size or size
        proof.leaf = self.leaves[index]
        proof.hashes.extend(self.tree.path(index, 0, proof.tree_size))
        return response

    def GetCheckpoint(self, request, context):  # noqa: N802
        self._begin("GetCheckpoint", request, context)
        with self.lock:
            self._check_known(request, context)
            response = pb.GetCheckpointResponse(checkpoint=self.tree.note())
            if request.HasField("known_size"):
                proof = self.tree.consistency(request.known_size, 0, len(self.leaves))
                response.consistency_proof.extend(proof)
        return response

    def ListLogs(self, request, context):  # noqa: N802
        self._begin("ListLogs", request, context)
        log = pb.Log(name="main", origin=ORIGIN, verifier_key=self.tree.vkey, tree_size=len(self.leaves))
        return pb.ListLogsResponse(logs=[log])


def serve(double, credentials=None):
    """Return a started server and its address."""
    server = grpc.server(ThreadPoolExecutor(8))
    add_AuditLogServiceServicer_to_server(double, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return server, f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def server_for_all():
    double = LogDouble()
    server, address = serve(double)
    yield double, address
    server.stop(None).wait()


@pytest.fixture
def double(server_for_all):
    """The log behind the server, empty and obedient."""
    double, _ = server_for_all
    double.reset()
    double.calls.clear()
    double.script.clear()
    double.stored_but.clear()
    double.tails.clear()
    double.counts.clear()
    double.room = 1_000
    return double


@pytest.fixture
def address(server_for_all):
    return server_for_all[1]


@pytest.fixture
def pauses():
    """The seconds that clients made by `connect` waited for, in order; they did not really wait."""
    return []


@pytest.fixture
def connect(address, pauses):
    """Make a client of the server that never really waits."""
    clients = []

    def make(token="token-1", **options):
        options = {"retry": RetryPolicy(random=lambda: 1.0), "sleep": pauses.append, **options}
        clients.append(Client(address, token, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
async def connect_async(address, pauses):
    """Make a client for asyncio that never really waits."""
    clients = []

    async def sleep(seconds):
        pauses.append(seconds)

    def make(token="token-1", **options):
        options = {"retry": RetryPolicy(random=lambda: 1.0), "sleep": sleep, **options}
        clients.append(AsyncClient(address, token, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture(scope="session")
def service():
    """What tests need to script the server."""
    return SimpleNamespace(Failure=Failure, retry_info=retry_info, serve=serve, LogDouble=LogDouble, Tree=Tree)
