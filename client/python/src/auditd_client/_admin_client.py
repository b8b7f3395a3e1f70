"""The client of whoever administers a server: revocations, tokens of its own issuer, and how it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from auditd_client._client import Client
from auditd_client._flow import Deadline, Flow, call
from auditd_client._server_status import ServerStatus, server_status
from auditd_client._times import datetime_from, timestamp_from
from auditd_client.errors import InvalidRequestError, Violation
from auditd_proto.v1 import admin_service_pb2 as pb
from auditd_proto.v1.admin_service_pb2_grpc import AdminServiceStub

RevokedKind: TypeAlias = Literal["jti", "subject", "key", "everything"]

_PAGE_SIZE = 1_000


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


class AdminClient(Client):
    """A client that may also administer the server; its token needs the role `admin`. Arguments as for `Client`."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - those of Client
        super().__init__(*args, **options)
        self._admin_stub = AdminServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def _method(self, name: str) -> Callable[..., Any]:
        return getattr(self._admin_stub, name, None) or super()._method(name)

    def revoke(
        self,
        issuer: str,
        *,
        jti: str | None = None,
        subject: str | None = None,
        key: str | None = None,
        everything: bool = False,
        issued_before: datetime | str | None = None,
        reason: str = "",
        include_caller: bool = False,
        timeout_s: float | None = None,
    ) -> Revocation:
        """Have tokens of `issuer` refused from now on, on open streams too; return once it took effect.

        Exactly one of `jti`, `subject`, `key` (a thumbprint by RFC 7638, or a certificate's `x5t#S256`) and
        `everything` is given. What is revoked already is answered with that revocation.

        - `issued_before`: only tokens issued before this time, in whole seconds.
        - `include_caller`: whether to go on where this client's own token is among them.

        Raises PreconditionError `REVOKES_CALLER` where it is and `include_caller` does not say so.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = pb.RevokeTokenRequest(
            issuer=issuer, jti=jti, subject=subject, key=key, reason=reason, include_caller=include_caller
        )
        if everything:
            request.everything = True
        if sum(value is not None for value in (jti, subject, key)) + everything != 1:
            raise _invalid("target", "expected exactly one of jti, subject, key and everything")
        if issued_before is not None:
            request.issued_before.CopyFrom(_timestamp("issued_before", issued_before))
        response = self._run(self._call_once("RevokeToken", request, timeout_s))
        return _revocation(response.revocation)

    def withdraw_revocation(self, index: int, *, reason: str = "", timeout_s: float | None = None) -> Revocation:
        """Have the revocation recorded at `index` of `control` end; return what it was.

        Raises NotFoundError `REVOCATION_NOT_FOUND` if none is in force there.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = pb.WithdrawRevocationRequest(index=index, reason=reason)
        response = self._run(self._call_once("WithdrawRevocation", request, timeout_s))
        return _revocation(response.revocation)

    def revocations(self, *, timeout_s: float | None = None) -> Iterator[Revocation]:
        """Yield the revocations in force, oldest first.

        Raises ClientError as `auditd_client.errors` shows.
        """
        request = pb.ListRevocationsRequest(page_size=_PAGE_SIZE)
        while True:
            response = self._run(self._call_once("ListRevocations", request, timeout_s))
            yield from map(_revocation, response.revocations)
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    def issue_token(
        self,
        subject: str,
        roles: Sequence[str],
        *,
        ttl_s: int = 900,
        certificate_sha256: bytes = b"",
        timeout_s: float | None = None,
    ) -> IssuedToken:
        """Return a token of the server's own issuer; that it was issued is recorded, the token is not.

        - `certificate_sha256`: SHA-256 of the client certificate (DER) to bind it to; none if empty.

        Raises InvalidRequestError if subject, roles or lifetime are unfit.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = pb.IssueTokenRequest(subject=subject, roles=roles, ttl_s=ttl_s, certificate_sha256=certificate_sha256)
        response = self._run(self._call_once("IssueToken", request, timeout_s))
        return IssuedToken(response.token, response.jti, datetime_from(response.expires_at))

    def status(self, *, timeout_s: float | None = None) -> ServerStatus:
        """Return how the server is, and what it did since its start.

        Raises ClientError as `auditd_client.errors` shows.
        """
        return server_status(self._run(self._call_once("GetStatus", pb.GetStatusRequest(), timeout_s)))

    def _call_once(self, method: str, request: Any, timeout_s: float | None) -> Flow[Any]:  # noqa: ANN401 - any message
        return call(method, request, Deadline.after(self._timeout(timeout_s)), self._flows.retry)


def _revocation(message: pb.Revocation) -> Revocation:
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
