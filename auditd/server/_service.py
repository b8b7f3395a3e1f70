"""`auditd.v1.AuditLogService`: decode, call, encode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from auditd.errors import (
    AuditdError,
    CallerError,
    DamagedError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    RequestError,
    Violation,
)
from auditd.identity import Permission, TokenError
from auditd.log import Log
from auditd.server._access import AccessRecorder
from auditd.server._actors import REASONS as ACTOR_REASONS
from auditd.server._append import AppendCall, Appender
from auditd.server._arriving import Arriving
from auditd.server._caller import CallContext, Callers
from auditd.server._chain import Extent, place_of, told_apart
from auditd.server._config import LimitSettings
from auditd.server._damage import DamageRegister
from auditd.server._export import Exporter
from auditd.server._judging import malformed
from auditd.server._large import LARGE_REQUEST_BYTES, LargeRequests
from auditd.server._large import REASON as TOO_MANY_LARGE
from auditd.server._limits import require_size
from auditd.server._logs import Logs
from auditd.server._meters import CallMeter, Meters
from auditd.server._peers import peer_ip
from auditd.server._prove import Prover
from auditd.server._query import Querier
from auditd.server._standing import Standing
from auditd.server._status import status_of
from auditd.server._tail import Tailer
from auditd.server._tokens import EntryTokens, credential_message
from auditd_proto.v1 import audit_log_service_pb2 as pb

SERVICE = "auditd.v1.AuditLogService"
DEFAULT_LOG = "main"
_RECORDED_REASONS = frozenset({"LOG_BEHIND_CALLER", "PEER_TOO_FAST", *ACTOR_REASONS})
"""Reasons of refusals that are seen, beside those for want of a good token or a permission."""

Context: TypeAlias = "grpc.aio.ServicerContext"
Request = TypeVar("Request")
Parsed = TypeVar("Parsed", bound=Message)
Answer = TypeVar("Answer", bound=Message)
Handler: TypeAlias = Callable[[object, Context], Awaitable[bytes]]


class AuditLogService:
    """The methods of the service over the logs of one folder. Belongs to the event loop's thread."""

    def __init__(
        self,
        logs: Logs,
        callers: Callers,
        access: AccessRecorder,
        appender: Appender,
        querier: Querier,
        prover: Prover,
        tailer: Tailer,
        exporter: Exporter,
        entry_tokens: EntryTokens,
        meters: Meters,
        damage: DamageRegister,
        limits: LimitSettings,
    ) -> None:
        self._logs = logs.by_name
        self._chains = logs.chains
        self._callers = callers
        self._access = access
        self._appender = appender
        self._querier = querier
        self._prover = prover
        self._tailer = tailer
        self._exporter = exporter
        self._entry_tokens = entry_tokens
        self._meters = meters
        self._damage = damage
        self._max_request_bytes = limits.max_request_bytes
        self.arriving = Arriving(limits)
        """The requests of all methods of the server that are on their way in."""
        self._large = LargeRequests(limits)

    def close(self) -> None:
        """End what calls were worked on with."""
        self._large.close()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to register: it takes raw bytes, so that malformed ones get a proper answer."""
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
        answers = {name: self.unary(name, kind, method) for name, (kind, method) in methods.items()}
        answers["Append"] = self._answer("Append", self._read_append, self._append)
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {name: grpc.stream_unary_rpc_method_handler(answer) for name, answer in answers.items()}
            | {
                name: grpc.stream_stream_rpc_method_handler(self.stream(name, kind, method))
                for name, (kind, method) in streams.items()
            },
        )

    def unary(
        self,
        name: str,
        kind: type[Parsed],
        method: Callable[[CallContext, Parsed, Context], Awaitable[Message]],
    ) -> Handler:
        """Return the handler of a method: it finds the caller, reads, parses, calls, and answers errors.

        To gRPC the request is a stream, of which one message is read: once the caller is known and has its turn. So
        nobody else can have the server hold what they send.
        """
        parse = self._parser(kind)

        async def call(caller: CallContext, request: Parsed, context: Context) -> bytes:
            return (await method(caller, request, context)).SerializeToString()

        return self._answer(name, lambda _caller, data: parse(data), call)

    def _answer(
        self,
        name: str,
        read: Callable[[CallContext, bytes], Request],
        call: Callable[[CallContext, Request, Context], Awaitable[bytes]],
    ) -> Handler:
        method = self._meters.method(name)

        async def answer(_requests: object, context: Context) -> bytes:
            caller: CallContext | None = None
            request: Request | None = None
            size = 0
            meter = method.begin(context)
            try:
                caller = await self._callers.of(context)
                meter.authenticated(caller)
                data = await self._received(context, caller, meter)
                size = len(data)
                if size > LARGE_REQUEST_BYTES:
                    with caller.pace.holding(size):
                        async with self._large.turn(caller.pace, size):
                            request = await self._large.work(read, caller, data)
                            data = b""
                            meter.decoded()
                            response = await call(caller, request, context)
                else:
                    request = read(caller, data)
                    meter.decoded()
                    response = await call(caller, request, context)
                meter.answered()
                return response
            except AuditdError as error:
                if caller is not None and size > LARGE_REQUEST_BYTES and isinstance(error, RequestError):
                    caller.pace.wasted()
                log, data, request = _named(request), b"", None
                if isinstance(error, ExhaustedError) and error.reason == TOO_MANY_LARGE:
                    # Told at once, it would only send as much again.
                    await asyncio.sleep(error.retry_after_s)
                await self._refuse(meter, caller, log, context, error)
            except asyncio.CancelledError:
                if caller is not None:
                    caller.pace.wasted()
                raise
            finally:
                if caller is not None:
                    caller.pace.leave()
                meter.end()

        return answer

    def stream(
        self,
        name: str,
        kind: type[Parsed],
        method: Callable[[CallContext, Parsed, Context], Awaitable[None]],
    ) -> Callable[[object, Context], Awaitable[None]]:
        """Return the handler of a method that answers with a stream; else as `unary`."""
        measured, parse = self._meters.method(name), self._parser(kind)

        async def answer(_requests: object, context: Context) -> None:
            caller: CallContext | None = None
            request: Parsed | None = None
            meter = measured.begin(context)
            try:
                caller = await self._callers.of(context)
                try:
                    meter.authenticated(caller)
                    request = parse(await self._received(context, caller, meter))
                    meter.decoded()
                finally:
                    # What a stream does from here on has limits of its own.
                    caller.pace.leave()
                await method(caller, request, context)
                meter.answered()
            except AuditdError as error:
                await self._refuse(meter, caller, _named(request), context, error)
            except asyncio.CancelledError:
                if caller is not None:
                    caller.pace.wasted()
                raise
            finally:
                meter.end()

        return answer

    def _read_append(self, caller: CallContext, data: bytes) -> AppendCall:
        size = len(data)
        if size > self._max_request_bytes:
            rule = f"{size} bytes, limit {self._max_request_bytes}"
            raise _too_large(f"{rule}; send fewer events at a time", self._max_request_bytes, Violation("events", rule))
        return self._appender.read(caller, data)

    def _parser(self, kind: type[Parsed]) -> Callable[[bytes], Parsed]:
        """Return what reads requests of a kind."""
        limit = self._max_request_bytes
        if any(field.is_repeated for field in kind.DESCRIPTOR.fields):
            # It could otherwise be made of a million parts.
            limit = min(LARGE_REQUEST_BYTES, limit)

        def parse(data: bytes) -> Parsed:
            if len(data) > limit:
                raise _too_large(f"{len(data)} bytes, limit {limit}", limit)
            try:
                return kind.FromString(data)
            except DecodeError as error:
                raise malformed(kind, data) from error

        return parse

    async def _received(self, context: Context, caller: CallContext, meter: CallMeter) -> bytes:
        refuse = partial(self._refuse, meter, caller, None, context)
        async with caller.pace.reading or nullcontext():
            data = await self.arriving.read(caller.pace, context.read, refuse)
        if not isinstance(data, bytes):
            caller.pace.wasted()
            raise InvalidRequestError("MALFORMED_REQUEST", "the call ended without a request")
        return data

    async def _refuse(
        self,
        meter: CallMeter,
        caller: CallContext | None,
        log: str | None,
        context: Context,
        error: AuditdError,
    ) -> NoReturn:
        """Record a refusal, and end the call with it; `log` is what the request named, None if it was never read."""
        log = "" if log is None else log or DEFAULT_LOG
        known = log if log in self._logs else ""
        refusal = await self._note_refusal(meter.method.name, caller, known, context, error)
        meter.refused(refusal)
        if isinstance(refusal, DamagedError):
            damaged = log or DEFAULT_LOG
            self._damage.found(refusal, damaged if damaged in self._logs else "")
        code, message, trailer = status_of(refusal)
        _forget_frames(refusal)
        await context.abort(code, message, trailer)
        raise refusal  # not reached: abort raises

    async def _note_refusal(
        self,
        method: str,
        caller: CallContext | None,
        log: str,
        context: Context,
        error: AuditdError,
    ) -> AuditdError:
        """Record a refusal that must be seen; return the error to answer with."""
        if not isinstance(error, CallerError) and error.reason not in _RECORDED_REASONS:
            return error
        claimed = error.unverified_subject if isinstance(error, TokenError) else ""
        try:
            await self._access.refused(caller, method, log, peer_ip(context), error, claimed)
        except AuditdError as unrecordable:
            return unrecordable
        return error

    def _log(self, caller: CallContext, name: str, permission: Permission) -> Log:
        """Return a log; permission is judged before existence, so that a refusal does not tell what exists."""
        name = name or DEFAULT_LOG
        caller.caller.require(permission, name)
        log = self._logs.get(name) or self._numbered(name)
        if log is None:
            raise NotFoundError(
                "LOG_NOT_FOUND",
                f"log: no log is named {name[:64]!r}; list them with 'auditlog logs'",
                {"log": name[:64]},
            )
        return log

    def _numbered(self, name: str) -> Log | None:
        """Return the log that `main~1`, `main~2` ... means; the newest of a chain goes by the chain's name as well."""
        chain, number = place_of(name)
        found = self._chains.get(chain)
        return found.numbered(number) if found is not None and name != chain else None

    def _extent(self, caller: CallContext, name: str, origin: str) -> Extent:
        """Return what a query is of: all of a chain asked for by its name, unless only one of its logs is wanted."""
        log = self._log(caller, name, Permission.QUERY)
        chain = self._chains.get(name or DEFAULT_LOG)
        extent = Extent(log.name, (log,) if chain is None else tuple(chain.logs))
        if not origin:
            return extent
        only = next((log for log in extent.logs if log.origin == origin), None)
        if only is None:
            raise NotFoundError(
                "LOG_NOT_FOUND",
                f"origin: {log.name} has no log of the origin {origin[:256]!r}; list them with 'auditlog logs'",
                {"log": log.name, "origin": origin[:256]},
            )
        return Extent(only.name, (only,))

    async def _append(self, caller: CallContext, call: AppendCall, _context: Context) -> bytes:
        log = self._log(caller, call.log, Permission.APPEND)
        try:
            return await self._appender.append(log, caller, call)
        except PreconditionError:
            newest = self._logs.get(call.log or DEFAULT_LOG, log)
            if newest is log:
                raise
            # It was closed since it was asked for by the name of its chain.
            return await self._appender.append(newest, caller, call)

    async def _get(self, caller: CallContext, request: pb.GetRequest, context: Context) -> Message:
        log = self._log(caller, request.log, Permission.GET)
        index = require_size("index", request.index)
        response = pb.GetResponse(entry=pb.Entry(index=index, leaf=log.leaf(index)))
        await self._access.read(caller, "get", log.name, peer_ip(context), told_apart(log), entries=(index, index))
        if request.verify_tokens:
            await asyncio.to_thread(self._entry_tokens.judge, log, [response.entry])
        return response

    async def _query(self, caller: CallContext, request: pb.QueryRequest, context: Context) -> Message:
        extent = self._extent(caller, request.log, request.origin)
        query = self._querier.prepare(extent, caller, request)
        page = asyncio.ensure_future(self._querier.page(caller, extent, query, _deadline(context), context.cancelled))
        about = {"filter": request.filter, **_told_apart(extent)}
        return await _once_seen(self._access.read(caller, "query", extent.name, peer_ip(context), about), page)

    async def _aggregate(self, caller: CallContext, request: pb.AggregateRequest, context: Context) -> Message:
        extent = self._extent(caller, request.log, request.origin)
        prepared = self._querier.aggregates.prepare(extent, caller, request)
        counts = asyncio.ensure_future(
            self._querier.count(caller, extent, prepared, _deadline(context), context.cancelled)
        )
        about = {**prepared.about, **_told_apart(extent)}
        return await _once_seen(self._access.read(caller, "aggregate", extent.name, peer_ip(context), about), counts)

    async def _tail(self, caller: CallContext, request: pb.TailRequest, context: Context) -> None:
        extent = self._extent(caller, request.log, request.origin)
        prepared = self._tailer.prepare(extent.logs[-1], request)
        standing = self.standing(context, request.log, Permission.QUERY)
        await self._tailer.run(prepared, caller, peer_ip(context), standing, context.write)

    async def _get_credential(self, caller: CallContext, request: pb.GetCredentialRequest, context: Context) -> Message:
        log = self._log(caller, request.log, Permission.GET)
        if len(request.credential) != 32:
            problem = f"{len(request.credential)} bytes, must be 32"
            raise InvalidRequestError("INVALID_REQUEST", f"credential: {problem}", [Violation("credential", problem)])
        stored = await asyncio.to_thread(log.credential, request.credential)
        about = {"credential": stored.credential.hex(), **told_apart(log)}
        await self._access.read(caller, "get_credential", log.name, peer_ip(context), about)
        return pb.GetCredentialResponse(credential=await asyncio.to_thread(credential_message, stored))

    async def _export(self, caller: CallContext, request: pb.ExportRequest, context: Context) -> None:
        log = self._log(caller, request.log, Permission.QUERY)
        prepared = self._exporter.prepare(log, caller, request)
        standing = self.standing(context, request.log, Permission.QUERY)
        await self._exporter.run(prepared, caller, peer_ip(context), standing, context.write)

    def standing(self, context: Context, log: str, permission: Permission) -> Standing:
        """Return what asks again and again whether the caller of a stream may read a log."""
        return Standing(lambda: self._log(self._callers.now(context), log, permission), lambda: self._callers.version)

    async def _prove(self, caller: CallContext, request: pb.ProveRequest, context: Context) -> Message:
        log = self._log(caller, request.log, Permission.PROVE)
        if request.WhichOneof("target") == "event_name" and log.name == (request.log or DEFAULT_LOG):
            log = self._prover.holder(log, request.event_name)
        response, entries = await self._prover.prove(log, request)
        await self._access.read(caller, "prove", log.name, peer_ip(context), told_apart(log), entries)
        return response

    async def _get_checkpoint(
        self, caller: CallContext, request: pb.GetCheckpointRequest, _context: Context
    ) -> Message:
        log = self._log(caller, request.log, Permission.CHECKPOINT)
        head = log.tree_head
        response = pb.GetCheckpointResponse(checkpoint=head.note)
        if request.HasField("known_size"):
            log.require_known_size(require_size("known_size", request.known_size))
            # Asked again: the log may have reached the caller's size only now.
            head = log.tree_head
            response.checkpoint = head.note
            response.consistency_proof.extend(log.proofs.consistency(request.known_size, head.size))
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


def _named(request: object) -> str | None:
    """Return the log that a request names, empty for the default one; None where it was not read, or names none."""
    named = getattr(request, "log", None)
    return None if named is None else str(named)


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the frames that an error came through: gRPC keeps what ends a call until the collector finds it."""
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _too_large(rule: str, limit: int, *violations: Violation) -> InvalidRequestError:
    facts = {"limit": "max_request_bytes", "value": str(limit)}
    return InvalidRequestError("REQUEST_TOO_LARGE", f"the request has {rule}", violations, facts)


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
