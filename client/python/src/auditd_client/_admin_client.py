"""The client of whoever administers a server: revocations, tokens of its own issuer, backups, and how it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from auditd_client._administration import (
    PAGE_SIZE,
    IssuedToken,
    Revocation,
    RotatedLog,
    issued_token,
    revocation_from,
    revoke_request,
    rotated_log,
)
from auditd_client._backup_folder import Backup, BackupProgress, receiving, since_manifest
from auditd_client._client import Client
from auditd_client._resumed_stream import received
from auditd_client._server_status import ServerStatus, server_status
from auditd_proto.v1 import admin_service_pb2 as pb
from auditd_proto.v1.admin_service_pb2_grpc import AdminServiceStub


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
        request = revoke_request(
            issuer,
            jti=jti,
            subject=subject,
            key=key,
            everything=everything,
            issued_before=issued_before,
            reason=reason,
            include_caller=include_caller,
        )
        response = self._run(self._call_once("RevokeToken", request, timeout_s))
        return revocation_from(response.revocation)

    def withdraw_revocation(self, index: int, *, reason: str = "", timeout_s: float | None = None) -> Revocation:
        """Have the revocation recorded at `index` of `control` end; return what it was.

        Raises NotFoundError `REVOCATION_NOT_FOUND` if none is in force there.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = pb.WithdrawRevocationRequest(index=index, reason=reason)
        response = self._run(self._call_once("WithdrawRevocation", request, timeout_s))
        return revocation_from(response.revocation)

    def revocations(self, *, timeout_s: float | None = None) -> Iterator[Revocation]:
        """Yield the revocations in force, oldest first.

        Raises ClientError as `auditd_client.errors` shows.
        """
        request = pb.ListRevocationsRequest(page_size=PAGE_SIZE)
        while True:
            response = self._run(self._call_once("ListRevocations", request, timeout_s))
            yield from map(revocation_from, response.revocations)
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
        return issued_token(self._run(self._call_once("IssueToken", request, timeout_s)))

    def rotate_log(self, log: str, reason: str, *, timeout_s: float | None = None) -> RotatedLog:
        """Have a log closed for good while the server runs, and a successor go on under its name.

        Appends that come meanwhile are tried again. A log that holds nothing but how it succeeded another is not
        closed: so a call that is repeated makes no second successor.

        Raises InvalidRequestError without a reason, NotFoundError `LOG_NOT_FOUND`.
        Raises PreconditionError for `control` and `access`, and for a log that is closed.
        Raises ClientError as `auditd_client.errors` shows.
        """
        request = pb.RotateLogRequest(log=log, reason=reason)
        return rotated_log(self._run(self._call_once("RotateLog", request, timeout_s)))

    def status(self, *, timeout_s: float | None = None) -> ServerStatus:
        """Return how the server is, and what it did since its start.

        Raises ClientError as `auditd_client.errors` shows.
        """
        return server_status(self._run(self._call_once("GetStatus", pb.GetStatusRequest(), timeout_s)))

    def make_backup(
        self,
        destination: str | Path,
        *,
        since: str | Path | None = None,
        progress: BackupProgress = lambda _step, _done, _total: None,
        timeout_s: float | None = None,
    ) -> Backup:
        """Have the server make a backup of all its logs, and receive it as the new folder `destination`.

        The server verifies it; what comes is held against its manifest, the checkpoints in that against the keys that
        this client knows. `auditlog backup verify` verifies all of it, `restore` makes a server folder from it.
        Private keys do not come. `destination` appears once it is whole and durable; whatever goes wrong leaves
        nothing behind. The token needs the role `backup` or `admin`, and must last until the end.

        - `since`: another backup, to receive only what came after it.
        - `progress`: called with what is being done, how much of it is done, and how much there is.
        - `timeout_s`: seconds in which the server must be heard from again and again.

        Raises ExhaustedError `BACKUP_UNDER_WAY` while another backup is made, `BACKUP_NO_ROOM` where the server's
        disk has no room for it.
        Raises OutputError where `destination` exists or cannot be written, or `since` is no backup.
        Raises VerificationError, HistoryRewrittenError where a checkpoint is not what this client knows.
        Raises ClientError as `auditd_client.errors` shows.
        """
        before = since_manifest(since)
        with receiving(destination, before, self._histories.values(), progress) as (folder, path):
            stream = self._admin_stub.MakeBackup(pb.MakeBackupRequest(since_manifest=before), metadata=self._metadata())
            with closing(received(stream, self._timeout(timeout_s))) as messages:
                for message in messages:
                    folder.receive(message)
            return folder.finish(path)
