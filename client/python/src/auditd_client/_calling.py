"""How the synchronous client calls the server: its connections, its token, and the steps of a flow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Self, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from auditd_client._channel import bearer
from auditd_client._connection import DEFAULT_TIMEOUT_S, Connection, Pem
from auditd_client._flow import Call, Flow, Pause, RetryPolicy
from auditd_client._settings import Settings
from auditd_client._status import error_from_rpc
from auditd_client._stream_connections import StreamConnections
from auditd_client.errors import ClientError
from auditd_proto.v1.audit_log_service_pb2_grpc import AuditLogServiceStub

Token: TypeAlias = str | Callable[[], str] | None

_INTERRUPTED_S = 2.0
"""Seconds in which connections are closed when everything is to end, or are left to the end of the process."""

_T = TypeVar("_T")


class Calling(Connection):
    """Connections to one server, and calls over them, each retried as its flow says. Arguments as for `Client`."""

    def __init__(
        self,
        address: str,
        token: Token = None,
        *,
        log: str = "main",
        key: str | Mapping[str, str] | None = None,
        known: str | None = None,
        ca: Pem | None = None,
        certificate: Pem | None = None,
        private_key: Pem | None = None,
        insecure: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(
            address,
            log=log,
            key=key,
            known=known,
            ca=ca,
            certificate=certificate,
            private_key=private_key,
            insecure=insecure,
            timeout_s=timeout_s,
            retry=retry,
        )
        self._token = token
        self._sleep = sleep
        self._channel = self._target.open()
        self._stub = AuditLogServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._streams = StreamConnections(self._target.open)

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Self:  # noqa: ANN401 - as __init__
        """Return a client for `settings`; `options` are further arguments of the class.

        Raises SettingsError also if the settings hold no address.
        """
        return cls(settings.required_address(), settings.token, **{**settings.client_options(), **options})

    def close(self) -> None:
        """Close all connections; calls under way are cancelled."""
        self._channel.close()
        for channel in self._streams.take_channels():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, Exception):
            self.close()
            return
        # As by Ctrl-C in the midst of beginning a call: gRPC may wait for ever for what that call never told.
        ending = threading.Thread(target=self.close, name="closing", daemon=True)
        ending.start()
        ending.join(_INTERRUPTED_S)

    def _run(self, flow: Flow[_T]) -> _T:
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Pause):
                        self._sleep(step.seconds)
                        step = flow.send(None)
                        continue
                    try:
                        response = self._call(step)
                    except ClientError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(response)
            except StopIteration as end:
                result: _T = end.value
                return result

    def _call(self, call: Call) -> Message:
        metadata = self._metadata()
        try:
            response: Message = self._method(call.method)(call.request, timeout=call.timeout_s, metadata=metadata)
        except grpc.RpcError as failure:
            error = error_from_rpc(failure)
            misfit = self._target.misfit(error) if self._may_misfit(error) else None
            raise misfit or error from failure
        return response

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return bearer(self._token() if callable(self._token) else self._token)

    def _method(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._stub, name)
        return method
