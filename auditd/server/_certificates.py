"""The client certificates of connections, and the callers among their holders."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import grpc

from auditd.identity import Caller, CertificateCallers, ClientCertificate

_PEM_PROPERTY = "x509_pem_cert"
_MAX_REMEMBERED = 2_048

Record: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[object]]
"""Returns once an act of the server, by its action and attributes, is durable in `control`."""


class Certificates:
    """Reads each certificate once, and has those of callers recorded before anything depends on them.

    `recorded` are the SHA-256 of those that `control` holds already. Belongs to the event loop's thread.
    """

    def __init__(
        self,
        callers: CertificateCallers,
        record: Record,
        recorded: Iterable[bytes],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._callers = callers
        self._clock = clock
        self._record = record
        self._recorded = set(recorded)
        self._recording: dict[bytes, asyncio.Future[object]] = {}
        self._by_pem: OrderedDict[bytes, ClientCertificate] = OrderedDict()

    def of(self, context: grpc.aio.ServicerContext) -> ClientCertificate | None:
        """Return the certificate that the client of this very connection presented, if it did.

        Nothing that a caller sends can stand for it. Raises TokenError for one that cannot be read.
        """
        pems = context.auth_context().get(_PEM_PROPERTY, ())
        if len(pems) != 1:
            return None
        known = self._by_pem.get(pems[0])
        if known is None:
            known = self._by_pem[pems[0]] = ClientCertificate.from_pem(pems[0])
            if len(self._by_pem) > _MAX_REMEMBERED:
                self._by_pem.popitem(last=False)
        return known

    def find(self, context: grpc.aio.ServicerContext) -> Caller | None:
        """Return the caller that the connection's certificate stands for, if it stands for one.

        Raises TokenError for a certificate that expired or is revoked.
        """
        certificate = self.of(context)
        return None if certificate is None else self._callers.find(certificate, self._clock())

    async def require_recorded(self, caller: Caller) -> None:
        """Return once `control` holds the certificate of a caller that is known by it."""
        if caller.credential_id not in self._recorded:
            await self._have_recorded(caller)

    async def _have_recorded(self, caller: Caller) -> None:
        certificate = caller.credential
        assert isinstance(certificate, ClientCertificate)
        digest = certificate.credential_id
        recording = self._recording.get(digest)
        if recording is None:
            attributes = {
                "issuer": caller.issuer,
                "subject": caller.subject,
                "sha256": digest.hex(),
                "certificate": base64.b64encode(certificate.der).decode("ascii"),
            }
            recording = self._recording[digest] = asyncio.ensure_future(self._record("certificate.add", attributes))
            recording.add_done_callback(lambda _: self._recording.pop(digest, None))
        # Shielded: a caller that goes away must not take the others' record with it.
        await asyncio.shield(recording)
        self._recorded.add(digest)
