"""Requests of administrators and their answers, without any I/O; both clients make the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from auditd_client._times import datetime_from, timestamp_from
from auditd_client.errors import InvalidRequestError, Violation
from auditd_proto.v1 import admin_service_pb2 as pb

RevokedKind: TypeAlias = Literal["jti", "subject", "key", "everything"]

PAGE_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation in force.

    - `index`: of its entry in the log `control`, by which it is known.
    - `issuer`: whose tokens are revoked.
    - `revoked`: what of the issuer: one `jti`, a `subject`, a `key`, or `everything`.
    - `value`: that jti, subject or key; empty for everything.
    - `issued_before`: if set, only tokens issued before it are.
    - `reason`: why.
    - `revoked_at`: when it was recorded.
    """

    index: int
    issuer: str
    revoked: RevokedKind
    value: str
    issued_before: datetime | None
    reason: str
    revoked_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token: a secret, which the server has not kept. `expires_at` is its claim `exp`."""

    token: str
    jti: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"{type(self).__name__}(jti={self.jti!r}, expires_at={self.expires_at!r})"


@dataclass(frozen=True, slots=True)
class RotatedLog:
    """A log that was closed, and the one that goes on for it.

    - `closed`: origin of the log that was closed, after `size` entries.
    - `successor`: origin of the one that goes on, and `verifier_key` its key.
    - `closing`: the note that says so, signed with the key of the closed log; see `verify.open_closing`.
    """

    closed: str
    size: int
    successor: str
    verifier_key: str
    closing: str


def rotated_log(message: pb.RotateLogResponse) -> RotatedLog:
    """Return what a message says."""
    return RotatedLog(message.closed, message.size, message.successor, message.verifier_key, message.closing)


def revoke_request(
    issuer: str,
    *,
    jti: str | None,
    subject: str | None,
    key: str | None,
    everything: bool,
    issued_before: datetime | str | None,
    reason: str,
    include_caller: bool,
) -> pb.RevokeTokenRequest:
    """Return what revokes; raise InvalidRequestError unless exactly one thing is named."""
    request = pb.RevokeTokenRequest(
        issuer=issuer, jti=jti, subject=subject, key=key, reason=reason, include_caller=include_caller
    )
    if everything:
        request.everything = True
    if sum(value is not None for value in (jti, subject, key)) + everything != 1:
        raise _invalid("target", "expected exactly one of jti, subject, key and everything")
    if issued_before is not None:
        request.issued_before.CopyFrom(_timestamp("issued_before", issued_before))
    return request


def issued_token(response: pb.IssueTokenResponse) -> IssuedToken:
    """Return what a response brings."""
    return IssuedToken(response.token, response.jti, datetime_from(response.expires_at))


def revocation_from(message: pb.Revocation) -> Revocation:
    """Return what a message says."""
    target = message.WhichOneof("target")
    value = "" if target is None or target == "everything" else getattr(message, target)
    return Revocation(
        message.index,
        message.issuer,
        target or "everything",
        value,
        datetime_from(message.issued_before) if message.HasField("issued_before") else None,
        message.reason,
        datetime_from(message.revoked_at),
    )


def _timestamp(field: str, value: datetime | str) -> Timestamp:
    try:
        return timestamp_from(value)
    except ValueError as error:
        raise _invalid(field, str(error)) from error


def _invalid(field: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: {rule}", reason="INVALID_REQUEST", violations=[Violation(field, rule)])
