"""`auditd.v1.AuditLogService`: decode, call, encode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from auditd.errors import InvalidRequestError, PreconditionError, Violation
from auditd.identity import Permission
from auditd.server._access import AccessRecorder
from auditd.server._append import AppendCall, Appender
from auditd.server._caller import CallContext
from auditd.server._calls import Calls, too_large
from auditd.server._chain import Extent, told_apart
from auditd.server._disk_reads import DiskReads
from auditd.server._export import Exporter
from auditd.server._limits import require_size
from auditd.server._logs import Logs
from auditd.server._peers import peer_ip
from auditd.server._prove import Prover
from auditd.server._query import Querier
from auditd.server._reach import DEFAULT_LOG, Reach
from auditd.server._tail import Tailer
from auditd.server._tokens import EntryTokens, credential_message
from auditd_proto.v1 import audit_log_service_pb2 as pb

SERVICE = "auditd.v1.AuditLogService"

Context: TypeAlias = "grpc.aio.ServicerContext"
Answer = TypeVar("Answer", bound=Message)


class AuditLogService:
    """The methods of the service over the logs of one folder. Belongs to the event loop's thread."""

    def __init__(
        self,
        calls: Calls,
        reach: Reach,
        logs: Logs,
        access: AccessRecorder,
        reads: DiskReads,
        appender: Appender,
        querier: Querier,
        prover: Prover,
        tailer: Tailer,
        exporter: Exporter,
        entry_tokens: EntryTokens,
        max_request_bytes: int,
    ) -> None:
        self._calls = calls
        self._reach = reach
        self._logs = logs.by_name
        self._access = access
        self._reads = reads
        self._appender = appender
        self._querier = querier
        self._prover = prover
        self._tailer = tailer
        self._exporter = exporter
        self._entry_tokens = entry_tokens
        self._max_request_bytes = max_request_bytes

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to register."""
        methods: dict[str, tuple[type[Message], Callable[..., Awaitable[Message]]]] = {
            "Get": (pb.GetRequest, self._get),
            "Query": (pb.QueryRequest, self._query),
            "Aggregate": (pb.AggregateRequest, self._aggregate),
            "Prove": (pb.ProveRequest, self._prove),
            "GetCheckpoint": (pb.GetCheckpointRequest, self._get_checkpoint),
            "GetCredential": (pb.GetCredentialRequest, self._get_credential),
            "ListLogs": (pb.ListLogsRequest, self._list_logs),
        }
        streams: dict[str, tuple[type[Message], Callable[..., Awaitable[None]]]] = {
            "Tail": (pb.TailRequest, self._tail),
            "Export": (pb.ExportRequest, self._export),
        }
        answers = {name: self._calls.unary(name, kind, method) for name, (kind, method) in methods.items()}
        answers["Append"] = self._calls.reading("Append", self._read_append, self._append)
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {name: grpc.stream_unary_rpc_method_handler(answer) for name, answer in answers.items()}
            | {
                name: grpc.stream_stream_rpc_method_handler(self._calls.stream(name, kind, method))
                for name, (kind, method) in streams.items()
            },
        )

    def _read_append(self, caller: CallContext, data: bytes) -> AppendCall:
        size = len(data)
        if size > self._max_request_bytes:
            rule = f"{size} bytes, limit {self._max_request_bytes}"
            raise too_large(f"{rule}; send fewer events at a time", self._max_request_bytes, Violation("events", rule))
        return self._appender.read(caller, data)

    async def _append(self, caller: CallContext, call: AppendCall, _context: Context) -> bytes:
        log = self._reach.log(caller, call.log, Permission.APPEND)
        try:
            return await self._appender.append(log, caller, call)
        except PreconditionError:
            newest = self._reach.newest(call.log, log)
            if newest is log:
                raise
            # It was closed since it was asked for by the name of its chain.
            return await self._appender.append(newest, caller, call)

    async def _get(self, caller: CallContext, request: pb.GetRequest, context: Context) -> Message:
        log = self._reach.log(caller, request.log, Permission.GET)
        index = require_size("index", request.index)
        leaf = await self._reads.read(lambda: log.leaf(index))
        response = pb.GetResponse(entry=pb.Entry(index=index, leaf=leaf))
        await self._access.read(caller, "get", log.name, peer_ip(context), told_apart(log), entries=(index, index))
        if request.verify_tokens:
            await asyncio.to_thread(self._entry_tokens.judge, log, [response.entry])
        return response

    async def _query(self, caller: CallContext, request: pb.QueryRequest, context: Context) -> Message:
        extent = self._reach.extent(caller, request.log, request.origin)
        query = self._querier.prepare(extent, caller, request)
        page = asyncio.ensure_future(self._querier.page(caller, extent, query, _deadline(context), context.cancelled))
        about = {"filter": request.filter, **_told_apart(extent)}
        return await _once_seen(self._access.read(caller, "query", extent.name, peer_ip(context), about), page)

    async def _aggregate(self, caller: CallContext, request: pb.AggregateRequest, context: Context) -> Message:
        extent = self._reach.extent(caller, request.log, request.origin)
        prepared = self._querier.aggregates.prepare(extent, caller, request)
        counts = asyncio.ensure_future(
            self._querier.count(caller, extent, prepared, _deadline(context), context.cancelled)
        )
        about = {**prepared.about, **_told_apart(extent)}
        return await _once_seen(self._access.read(caller, "aggregate", extent.name, peer_ip(context), about), counts)

    async def _tail(self, caller: CallContext, request: pb.TailRequest, context: Context) -> None:
        extent = self._reach.extent(caller, request.log, request.origin)
        prepared = self._tailer.prepare(extent.logs[-1], request)
        standing = self._reach.standing(context, request.log, Permission.QUERY)
        await self._tailer.run(prepared, caller, peer_ip(context), standing, context.write)

    async def _get_credential(self, caller: CallContext, request: pb.GetCredentialRequest, context: Context) -> Message:
        log = self._reach.log(caller, request.log, Permission.GET)
        if len(request.credential) != 32:
            problem = f"{len(request.credential)} bytes, must be 32"
            raise InvalidRequestError("INVALID_REQUEST", f"credential: {problem}", [Violation("credential", problem)])
        stored = await asyncio.to_thread(log.credential, request.credential)
        about = {"credential": stored.credential.hex(), **told_apart(log)}
        await self._access.read(caller, "get_credential", log.name, peer_ip(context), about)
        return pb.GetCredentialResponse(credential=await asyncio.to_thread(credential_message, stored))

    async def _export(self, caller: CallContext, request: pb.ExportRequest, context: Context) -> None:
        log = self._reach.log(caller, request.log, Permission.QUERY)
        prepared = self._exporter.prepare(log, caller, request)
        standing = self._reach.standing(context, request.log, Permission.QUERY)
        await self._exporter.run(prepared, caller, peer_ip(context), standing, context.write)

    async def _prove(self, caller: CallContext, request: pb.ProveRequest, context: Context) -> Message:
        log = self._reach.log(caller, request.log, Permission.PROVE)
        if request.WhichOneof("target") == "event_name" and log.name == (request.log or DEFAULT_LOG):
            log = await self._prover.holder(log, request.event_name)
        response, entries = await self._prover.prove(log, request)
        await self._access.read(caller, "prove", log.name, peer_ip(context), told_apart(log), entries)
        return response

    async def _get_checkpoint(
        self, caller: CallContext, request: pb.GetCheckpointRequest, _context: Context
    ) -> Message:
        log = self._reach.log(caller, request.log, Permission.CHECKPOINT)
        head = log.tree_head
        response = pb.GetCheckpointResponse(checkpoint=head.note)
        if request.HasField("known_size"):
            log.require_known_size(require_size("known_size", request.known_size))
            # Asked again: the log may have reached the caller's size only now.
            head = log.tree_head
            response.checkpoint = head.note
            hashes = await self._reads.read(lambda: log.proofs.consistency(request.known_size, head.size))
            response.consistency_proof.extend(hashes)
        return response

    async def _list_logs(self, caller: CallContext, _request: pb.ListLogsRequest, _context: Context) -> Message:
        caller.caller.require_any()
        response = pb.ListLogsResponse()
        for name, log in sorted(self._logs.items()):
            if any(caller.caller.may(permission, name) for permission in Permission):
                response.logs.add(
                    name=name,
                    origin=log.origin,
                    verifier_key=log.verifier_key,
                    tree_size=log.size,
                    successor=log.successor or "",
                    closing=log.closing,
                )
        return response


def _told_apart(extent: Extent) -> dict[str, str]:
    return told_apart(extent.logs[0]) if len(extent.logs) == 1 else {}


def _deadline(context: Context) -> float:
    return time.monotonic() + (context.time_remaining() or float("inf"))


async def _once_seen(recorded: Awaitable[None], answer: asyncio.Future[Answer]) -> Answer:
    """Return the answer, worked on meanwhile, after the read was recorded; promise 7."""
    try:
        await recorded
    except BaseException:
        answer.cancel()
        raise
    return await answer
