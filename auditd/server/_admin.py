"""`auditd.v1.AdminService`: tokens of the own issuer, revocation, backups."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from auditd.errors import InvalidRequestError, NotFoundError, PreconditionError, Violation
from auditd.identity import LocalIssuer, Permission, Revocation, Revoked, RevokedKind
from auditd.log import Recorded, Submission
from auditd.note import VerifierKey
from auditd.server._backup_stream import Backups
from auditd.server._caller import CallContext
from auditd.server._calls import Calls
from auditd.server._chain import CLOSE, closure
from auditd.server._limits import require_fit_reason, require_size, violation
from auditd.server._logs import Logs
from auditd.server._own_events import OwnEvents
from auditd.server._peers import peer_ip
from auditd.server._reach import Reach
from auditd.server._rotation import Rotation
from auditd.server._snapshot import Snapshots
from auditd.server._status_message import status_message
from auditd_proto.v1 import admin_service_pb2 as pb

SERVICE = "auditd.v1.AdminService"
CONTROL = "control"
DEFAULT_TTL_S = 900
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 100, 1_000

Context: TypeAlias = "grpc.aio.ServicerContext"
Record: TypeAlias = Callable[[Submission], Awaitable[Recorded]]
"""Returns once a submission is durable in `control`."""


class AdminService:
    """The methods of the service. Belongs to the event loop's thread.

    `issuers` are the names of those whose tokens or certificates may be accepted; `local_issuer` is None where the
    configuration has it off. Revocations are counted through the chain of `control`.
    """

    def __init__(
        self,
        calls: Calls,
        reach: Reach,
        logs: Logs,
        own_events: OwnEvents,
        record: Record,
        issuers: Collection[str],
        local_issuer: LocalIssuer | None,
        audience: str,
        snapshots: Snapshots,
        clock: Callable[[], float],
        backups: Backups,
        rotation: Rotation,
    ) -> None:
        self._calls = calls
        self._reach = reach
        self._logs = logs
        self._revocations = logs.revocations
        self._own_events = own_events
        self._record = record
        self._issuers = issuers
        self._local_issuer = local_issuer
        self._audience = audience
        self._snapshots = snapshots
        self._clock = clock
        self._backups = backups
        self._rotation = rotation

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to register."""
        methods: dict[str, tuple[type[Message], Callable[..., Awaitable[Message]]]] = {
            "RevokeToken": (pb.RevokeTokenRequest, self._revoke_token),
            "WithdrawRevocation": (pb.WithdrawRevocationRequest, self._withdraw_revocation),
            "ListRevocations": (pb.ListRevocationsRequest, self._list_revocations),
            "IssueToken": (pb.IssueTokenRequest, self._issue_token),
            "RotateLog": (pb.RotateLogRequest, self._rotate_log),
            "GetStatus": (pb.GetStatusRequest, self._get_status),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.stream_unary_rpc_method_handler(self._calls.unary(name, kind, method))
                for name, (kind, method) in methods.items()
            }
            | {
                "MakeBackup": grpc.stream_stream_rpc_method_handler(
                    self._calls.stream("MakeBackup", pb.MakeBackupRequest, self._make_backup)
                )
            },
        )

    async def _revoke_token(self, caller: CallContext, request: pb.RevokeTokenRequest, context: Context) -> Message:
        caller.caller.require(Permission.ADMINISTER, CONTROL)
        revoked = _revoked(request)
        if revoked.issuer not in self._issuers:
            # A mistyped one would revoke nothing, and nobody would know.
            problem = f"{revoked.issuer[:64]!r} is no issuer here, so none of its tokens is accepted"
            raise InvalidRequestError("INVALID_REVOCATION", f"issuer: {problem}", [Violation("issuer", problem)])
        issued_before = _issued_before(request, revoked)
        require_fit_reason(request.reason)
        known = self._revocations.same(revoked, issued_before)
        if known is None:
            wanted = Revocation(0, revoked, 0, issued_before, request.reason)
            if wanted.refuses(caller.caller) and not request.include_caller:
                raise PreconditionError(
                    "REVOKES_CALLER",
                    "this would revoke the token of this very call, which needs include_caller",
                )
            known = await self._revoke(caller, wanted, peer_ip(context))
        return pb.RevokeTokenResponse(revocation=_message(known))

    async def _revoke(self, caller: CallContext, wanted: Revocation, ip: str) -> Revocation:
        recorded = await self._by_caller(caller, "revocation.add", wanted.attributes, ip, wanted.reason)
        before = self._logs.by_name[CONTROL].predecessors.size
        made = wanted.recorded(before + recorded.indexes[0], recorded.recorded_at_us[0])
        self._revocations.add(made)
        return made

    async def _withdraw_revocation(
        self, caller: CallContext, request: pb.WithdrawRevocationRequest, context: Context
    ) -> Message:
        caller.caller.require(Permission.ADMINISTER, CONTROL)
        require_fit_reason(request.reason)
        index = require_size("index", request.index)
        known = self._revocations.get(index)
        if known is None:
            raise NotFoundError(
                "REVOCATION_NOT_FOUND",
                f"index: no revocation in force is recorded at {index}; list them with 'auditlog token revocations'",
                {"index": str(index)},
            )
        await self._by_caller(caller, "revocation.withdraw", {"index": index}, peer_ip(context), request.reason)
        self._revocations.withdraw(index)
        return pb.WithdrawRevocationResponse(revocation=_message(known))

    async def _list_revocations(
        self, caller: CallContext, request: pb.ListRevocationsRequest, _context: Context
    ) -> Message:
        caller.caller.require(Permission.ADMINISTER, CONTROL)
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        if size < 1:
            raise violation("page_size", f"{size}, must not be negative")
        response = pb.ListRevocationsResponse()
        for revocation in self._revocations.from_index(_page_start(request.page_token)):
            if len(response.revocations) == size:
                response.next_page_token = str(revocation.index)
                break
            response.revocations.append(_message(revocation))
        return response

    async def _issue_token(self, caller: CallContext, request: pb.IssueTokenRequest, context: Context) -> Message:
        caller.caller.require(Permission.ADMINISTER, CONTROL)
        issuer = self._local_issuer
        if issuer is None:
            raise PreconditionError("LOCAL_ISSUER_OFF", "this server's own issuer is off: see [local_issuer]")
        if not request.roles:
            raise violation("roles", "is empty: a token without a role is good for nothing")
        certificate = request.certificate_sha256
        ttl_s, now, jti = request.ttl_s or DEFAULT_TTL_S, self._clock(), secrets.token_urlsafe(16)
        token = issuer.issue(request.subject, request.roles, ttl_s, self._audience, now, jti, certificate)
        expires_at = int(now) + ttl_s
        attributes = {
            "issuer": issuer.issuer,
            "subject": request.subject,
            "roles": list(request.roles),
            "jti": jti,
            "expires_at": expires_at,
        }
        if certificate:
            attributes["certificate_sha256"] = certificate.hex()
        await self._by_caller(caller, "token.issue", attributes, peer_ip(context))
        return pb.IssueTokenResponse(token=token, jti=jti, expires_at=Timestamp(seconds=expires_at))

    async def _rotate_log(self, caller: CallContext, request: pb.RotateLogRequest, context: Context) -> Message:
        caller.caller.require(Permission.ADMINISTER, CONTROL)
        chain = await self._rotation.rotate(request.log, request.reason)
        before, newest = chain.logs[-2:]
        if self._logs.unrecorded(chain):
            attributes = closure(chain.links[-1], VerifierKey.parse(newest.verifier_key))
            await self._by_caller(caller, CLOSE, attributes, peer_ip(context), request.reason)
            self._logs.closure_recorded(chain)
        return pb.RotateLogResponse(
            closed=before.origin,
            size=before.size,
            successor=newest.origin,
            verifier_key=newest.verifier_key,
            closing=before.closing,
        )

    async def _get_status(self, caller: CallContext, _request: pb.GetStatusRequest, _context: Context) -> Message:
        caller.caller.require(Permission.ADMINISTER, CONTROL)
        return status_message(await asyncio.to_thread(self._snapshots.take))

    async def _make_backup(self, caller: CallContext, request: pb.MakeBackupRequest, context: Context) -> None:
        caller.caller.require(Permission.BACK_UP, CONTROL)
        standing = self._reach.standing(context, CONTROL, Permission.BACK_UP)
        await self._backups.run(request, caller, peer_ip(context), standing, context.write)

    async def _by_caller(
        self, caller: CallContext, action: str, attributes: Mapping[str, Any], ip: str, reason: str = ""
    ) -> Recorded:
        return await self._record(self._own_events.by_caller(caller, action, attributes, ip=ip, reason=reason))


def _revoked(request: pb.RevokeTokenRequest) -> Revoked:
    target = request.WhichOneof("target")
    if target is None or (target == "everything" and not request.everything):
        raise violation("target", "is missing: jti, subject, key or everything")
    if target == "everything":
        return Revoked(RevokedKind.ISSUER, request.issuer)
    return Revoked(RevokedKind(target), request.issuer, getattr(request, target))


def _issued_before(request: pb.RevokeTokenRequest, revoked: Revoked) -> int | None:
    if not request.HasField("issued_before"):
        return None
    if revoked.kind is RevokedKind.JTI:
        raise violation("issued_before", "is not for a single token")
    moment = request.issued_before
    if not (0 < moment.seconds <= 253_402_300_799 and moment.nanos == 0):
        raise violation("issued_before", "must be whole seconds within 1970 to 9999")
    return moment.seconds


def _page_start(page_token: str) -> int:
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdigit() and len(page_token) <= 19):
        raise violation("page_token", "was not given by this method")
    return int(page_token)


def _message(revocation: Revocation) -> pb.Revocation:
    revoked = revocation.revoked
    message = pb.Revocation(index=revocation.index, issuer=revoked.issuer, reason=revocation.reason)
    if revoked.kind is RevokedKind.ISSUER:
        message.everything = True
    else:
        setattr(message, revoked.kind.value, revoked.value)
    if revocation.issued_before is not None:
        message.issued_before.seconds = revocation.issued_before
    message.revoked_at.FromMicroseconds(revocation.revoked_at_us)
    return message
