"""The client of whoever administers a server, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc.aio

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
from auditd_client._async_client import AsyncClient
from auditd_client._backup_folder import Backup, BackupFolder, BackupProgress, receiving, since_manifest
from auditd_client._server_status import ServerStatus, server_status
from auditd_client._status import error_from_rpc
from auditd_client.errors import UnreachableError
from auditd_proto.v1 import admin_service_pb2 as pb
from auditd_proto.v1.admin_service_pb2_grpc import AdminServiceStub


class AsyncAdminClient(AsyncClient):
    """`AdminClient` for asyncio: the same arguments and methods, to be awaited; for one event loop."""

    _admin_stub: AdminServiceStub | None = None

    async def revoke(
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
        """See `AdminClient.revoke`."""
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
        response = await self._run(self._call_once("RevokeToken", request, timeout_s))
        return revocation_from(response.revocation)

    async def withdraw_revocation(self, index: int, *, reason: str = "", timeout_s: float | None = None) -> Revocation:
        """See `AdminClient.withdraw_revocation`."""
        request = pb.WithdrawRevocationRequest(index=index, reason=reason)
        response = await self._run(self._call_once("WithdrawRevocation", request, timeout_s))
        return revocation_from(response.revocation)

    async def revocations(self, *, timeout_s: float | None = None) -> AsyncIterator[Revocation]:
        """See `AdminClient.revocations`."""
        request = pb.ListRevocationsRequest(page_size=PAGE_SIZE)
        while True:
            response = await self._run(self._call_once("ListRevocations", request, timeout_s))
            for revocation in response.revocations:
                yield revocation_from(revocation)
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    async def issue_token(
        self,
        subject: str,
        roles: Sequence[str],
        *,
        ttl_s: int = 900,
        certificate_sha256: bytes = b"",
        timeout_s: float | None = None,
    ) -> IssuedToken:
        """See `AdminClient.issue_token`."""
        request = pb.IssueTokenRequest(subject=subject, roles=roles, ttl_s=ttl_s, certificate_sha256=certificate_sha256)
        return issued_token(await self._run(self._call_once("IssueToken", request, timeout_s)))

    async def rotate_log(self, log: str, reason: str, *, timeout_s: float | None = None) -> RotatedLog:
        """See `AdminClient.rotate_log`."""
        request = pb.RotateLogRequest(log=log, reason=reason)
        return rotated_log(await self._run(self._call_once("RotateLog", request, timeout_s)))

    async def status(self, *, timeout_s: float | None = None) -> ServerStatus:
        """See `AdminClient.status`."""
        return server_status(await self._run(self._call_once("GetStatus", pb.GetStatusRequest(), timeout_s)))

    async def make_backup(
        self,
        destination: str | Path,
        *,
        since: str | Path | None = None,
        progress: BackupProgress = lambda _step, _done, _total: None,
        timeout_s: float | None = None,
    ) -> Backup:
        """See `AdminClient.make_backup`; files are written, and `progress` is called, in another thread."""
        before = await asyncio.to_thread(since_manifest, since)
        with receiving(destination, before, self._histories.values(), progress) as (folder, path):
            metadata = await self._metadata()
            stream = self._administered().MakeBackup(pb.MakeBackupRequest(since_manifest=before), metadata=metadata)
            try:
                await _receive(stream, folder, self._timeout(timeout_s))
            finally:
                stream.cancel()
            return await asyncio.to_thread(folder.finish, path)

    def _method(self, name: str) -> Callable[..., Any]:
        return getattr(self._administered(), name, None) or super()._method(name)

    def _administered(self) -> AdminServiceStub:
        if self._admin_stub is None:
            self._connected()
            self._admin_stub = AdminServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        return self._admin_stub


async def _receive(stream: Any, folder: BackupFolder, silence_s: float) -> None:  # noqa: ANN401 - grpc has no types
    try:
        while (message := await asyncio.wait_for(stream.read(), silence_s)) is not grpc.aio.EOF:
            # Shielded: what is being written is not to go on when its folder is removed.
            writing = asyncio.ensure_future(asyncio.to_thread(folder.receive, message))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait({writing})
                raise
    except grpc.aio.AioRpcError as failure:
        raise error_from_rpc(failure) from failure
    except TimeoutError as silence:
        raise UnreachableError("the server has fallen silent", reason="UNREACHABLE") from silence
