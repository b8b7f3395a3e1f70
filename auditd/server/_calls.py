"""What happens to every call before and after its method: caller, turn, request, refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container
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
    RequestError,
    Violation,
)
from auditd.identity import TokenError
from auditd.server._access import AccessRecorder
from auditd.server._actors import REASONS as ACTOR_REASONS
from auditd.server._arriving import Arriving
from auditd.server._caller import CallContext, Callers
from auditd.server._config import LimitSettings
from auditd.server._damage import DamageRegister
from auditd.server._judging import malformed
from auditd.server._large import LARGE_REQUEST_BYTES, LargeRequests
from auditd.server._large import REASON as TOO_MANY_LARGE
from auditd.server._meters import CallMeter, Meters
from auditd.server._peers import peer_ip
from auditd.server._reach import DEFAULT_LOG
from auditd.server._status import status_of

_RECORDED_REASONS = frozenset({"LOG_BEHIND_CALLER", "PEER_TOO_FAST", *ACTOR_REASONS})
"""Reasons of refusals that are seen, beside those for want of a good token or a permission."""

Context: TypeAlias = "grpc.aio.ServicerContext"
Request = TypeVar("Request")
Parsed = TypeVar("Parsed", bound=Message)
Handler: TypeAlias = Callable[[object, Context], Awaitable[bytes]]
StreamHandler: TypeAlias = Callable[[object, Context], Awaitable[None]]


class Calls:
    """Makes the handlers of methods, which take raw bytes, so that malformed ones get a proper answer.

    To gRPC a request is a stream, of which one message is read: once the caller is known and has its turn. So nobody
    else can have the server hold what they send. `logs` are the names that logs go by. Belongs to the event loop's
    thread.
    """

    def __init__(
        self,
        callers: Callers,
        access: AccessRecorder,
        meters: Meters,
        damage: DamageRegister,
        arriving: Arriving,
        logs: Container[str],
        limits: LimitSettings,
    ) -> None:
        self._callers = callers
        self._access = access
        self._meters = meters
        self._damage = damage
        self._arriving = arriving
        self._logs = logs
        self._max_request_bytes = limits.max_request_bytes
        self._large = LargeRequests(limits)

    def close(self) -> None:
        """End what large requests were worked on with."""
        self._large.close()

    def unary(
        self,
        name: str,
        kind: type[Parsed],
        method: Callable[[CallContext, Parsed, Context], Awaitable[Message]],
    ) -> Handler:
        """Return the handler of a method: it finds the caller, reads, parses, calls, and answers errors."""
        parse = self._parser(kind)

        async def call(caller: CallContext, request: Parsed, context: Context) -> bytes:
            return (await method(caller, request, context)).SerializeToString()

        return self.reading(name, lambda _caller, data: parse(data), call)

    def reading(
        self,
        name: str,
        read: Callable[[CallContext, bytes], Request],
        call: Callable[[CallContext, Request, Context], Awaitable[bytes]],
    ) -> Handler:
        """Return the same for a method that reads its requests, and encodes its answers, itself."""
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
    ) -> StreamHandler:
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

    def _parser(self, kind: type[Parsed]) -> Callable[[bytes], Parsed]:
        """Return what reads requests of a kind."""
        limit = self._max_request_bytes
        if any(field.is_repeated for field in kind.DESCRIPTOR.fields):
            # It could otherwise be made of a million parts.
            limit = min(LARGE_REQUEST_BYTES, limit)

        def parse(data: bytes) -> Parsed:
            if len(data) > limit:
                raise too_large(f"{len(data)} bytes, limit {limit}", limit)
            try:
                return kind.FromString(data)
            except DecodeError as error:
                raise malformed(kind, data) from error

        return parse

    async def _received(self, context: Context, caller: CallContext, meter: CallMeter) -> bytes:
        refuse = partial(self._refuse, meter, caller, None, context)
        async with caller.pace.reading or nullcontext():
            data = await self._arriving.read(caller.pace, context.read, refuse)
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


def too_large(rule: str, limit: int, *violations: Violation) -> InvalidRequestError:
    """Return the error for a request of more than `limit` bytes; `rule` says what it has."""
    facts = {"limit": "max_request_bytes", "value": str(limit)}
    return InvalidRequestError("REQUEST_TOO_LARGE", f"the request has {rule}", violations, facts)


def _named(request: object) -> str | None:
    """Return the log that a request names, empty for the default one; None where it was not read, or names none."""
    named = getattr(request, "log", None)
    return None if named is None else str(named)


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the frames that an error came through: gRPC keeps what ends a call until the collector finds it."""
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
